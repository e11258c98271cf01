"""Earlier paths of modules, under which the same modules are still found, with a warning.

They are kept for one release.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = __name__.rpartition(".")[0]
MOVED = {
    "archive_fetch": "archive.fetch",
    "archive_parts": "archive.parts",
    "archive_sums": "archive.sums",
    "audio_sinks": "audio.sinks",
    "audiofile": "audio.read",
    "base16384": "voices.base16384",
    "batch": "decoding.batch",
    "cloning": "speech.cloning",
    "cuda": "decoding.device",
    "decoder": "decoding.decoder",
    "device_sampler": "decoding.device_sampler",
    "device_step": "decoding.device_step",
    "engine": "speech.engine",
    "external_data": "format.external_data",
    "finite": "decoding.finite",
    "forced": "decoding.forced",
    "generation": "decoding.request",
    "graph_fragment": "decoding.graph_fragment",
    "huge_pages": "graphs.huge_pages",
    "integrity": "format.files",
    "kv_cache": "decoding.kv_cache",
    "longform": "speech.narrate",
    "manifest": "format.manifest",
    "options": "speech.requests",
    "params": "decoding.params",
    "resampling": "audio.resample",
    "sampling": "decoding.sampling",
    "serve.encoders": "audio.encode",
    "sessions": "graphs.sessions",
    "streaming": "speech.windows",
    "synthesis": "speech.requests",
    "text.choices": "choices",
    "turns": "speech.turns",
    "voice_files": "voices.files",
    "voice_sheets": "voices.sheets",
    "voice_shelf": "voices.collection",
    "wavefile": "audio.wav",
}
_NUMBERS = ("chinese", "context", "currencies", "english", "readback", "units", "wetext_backend")
_READING = ("language", "lexicon", "options", "pauses", "report", "tags")
MOVED |= {f"text.{name}": f"text.core.{name}" for name in (*_NUMBERS, *_READING)}


class _Finder(MetaPathFinder, Loader):
    """Asked last, so what exists under a name goes before."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        moved = package == _PACKAGE and rest in MOVED
        return ModuleSpec(fullname, self) if moved else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = f"{_PACKAGE}.{MOVED[old.partition('.')[2]]}"
        _warn(old, new)
        # The module itself, so that there is one of each class.
        sys.modules[old] = import_module(new)


def attributes(old: str, new: str) -> Callable[[str], Any]:
    """``__getattr__`` of a package whose name was that of the module ``new``."""

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        found = getattr(import_module(new), name)
        _warn(f"{old}.{name}", f"{new}.{name}")
        return found

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now {new}; the old name is kept for one release.",
        DeprecationWarning,
        stacklevel=3,
    )


def install() -> None:
    """Make the old names importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
