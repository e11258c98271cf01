"""wetext for what the built-in rules do not know: rare units and symbols.

The rules come first since wetext alone misreads thousands separators, telephone numbers and
years, and raises on some inputs (``#1``); tests hold the cases.  It is loaded (0.7 s) when the
first leftover needs it, and an answer that still holds digits is refused.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, lru_cache

from ..errors import InputError
from .choices import Backend

_MAX_LENGTH = 40


@cache
def is_installed() -> bool:
    """Whether wetext can be imported."""
    return importlib.util.find_spec("wetext") is not None


def require(backend: Backend) -> None:
    """:class:`InputError` when ``backend`` asks for wetext and it is not installed."""
    if backend == "wetext" and not is_installed():
        raise InputError(
            "the text backend 'wetext' is not installed. Install chattts-onnx[text], or use the "
            "backend 'auto' or 'rules'."
        )


def read_leftover(token: str, language: str, backend: Backend) -> str | None:
    """Speech of one short token, or None where wetext has no answer or may not be used."""
    if backend == "rules" or len(token) > _MAX_LENGTH or not is_installed():
        return None
    return _read(token, language)


@lru_cache(maxsize=4096)
def _read(token: str, language: str) -> str | None:
    try:
        spoken = _normalizer(language)(token).strip()
    except Exception:  # asserts and KeyErrors escape from its parser
        return None
    if spoken == token or not spoken or any(c.isdigit() or c == "\\" for c in spoken):
        return None
    return spoken


@cache
def _normalizer(language: str) -> Callable[[str], str]:
    wetext = importlib.import_module("wetext")
    normalizer = wetext.Normalizer(lang=language, operator="tn", remove_erhua=False)
    speak: Callable[[str], str] = normalizer.normalize
    return speak
