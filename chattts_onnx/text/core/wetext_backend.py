"""wetext for what the built-in rules do not know: rare units and symbols.

Where each is right, by the cases of the tests (``speech.tsv``, ``test_wetext.py``):

* The rules come first for numbers, dates, money, telephone numbers, codes and addresses.  wetext
  alone reads ￥1,234.50 as 一元，两百三十四点五零, 555-1234 as a range, 1990s as seconds and
  $20亿 as 零亿, spells no URL, and raises on some inputs (``#1``).  It sees one language at a time
  and reports nothing, so a digit that it lost would be lost silently.
* wetext reads what is left, some units that no table of ours repeats (hp): one short token a time,
  its answers kept.  It folds case (5 mW as five megawatts), so an answer counts only where the
  number and the prefix of the unit can be read back from it; one that still holds digits, or that
  knew half a unit (5mmol as 五毫米ol), is refused.

It takes no part in erhua either: its ``remove_erhua`` keeps 儿子 but makes 孤儿 孤 and 健儿 健.
wetext is loaded (0.7 s) when the first leftover needs it, so that a plain text never waits for it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, lru_cache

from ...choices import Backend
from ...errors import InputError

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
