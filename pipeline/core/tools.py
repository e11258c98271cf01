"""The versions that outputs depend on, checked before a stage runs.

DVC keys a stage's outputs by ``params.tools``, so running with other versions would file outputs
under the wrong key.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from pipeline.core.errors import ConfigError

# One import package, two distributions: the GPU build replaces the CPU build.
ALTERNATIVES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def installed_version(name: str) -> str | None:
    """Version of a distribution without a local part (``2.13.0`` for ``2.13.0+cpu``), or None."""
    for candidate in ALTERNATIVES.get(name, (name,)):
        try:
            return metadata.version(candidate).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return None


def check_tools(expected: Mapping[str, str]) -> None:
    """Refuse to run with other versions than the parameters say.

    Raises:
        ConfigError: naming every distribution that differs, what is installed and what to do.
    """
    found = {name: installed_version(name) for name in expected}
    wrong = [
        f"tools.{name}: found {found[name] or 'no such package'}, expected {version}"
        for name, version in expected.items()
        if found[name] != version
    ]
    if wrong:
        advice = "run `make setup`, or change conf/tools and pyproject.toml together"
        raise ConfigError("; ".join([*wrong, advice]))
