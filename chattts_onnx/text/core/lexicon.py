"""The user's own words: AI -> 人工智能, SQL -> S Q L.

A YAML file is a mapping of words to what is spoken::

    AI: 人工智能
    SQL: S Q L

or has the sections ``words`` (such a mapping), ``erhua_merge`` and ``erhua_keep`` (lists).  JSON of
the same shape needs no YAML library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...untrusted import brief, brief_text, parse_json, read_limited
from .report import Report

_MAX_BYTES = 8 << 20
_SECTIONS = ("words", "erhua_merge", "erhua_keep")


@dataclass(frozen=True)
class Lexicon:
    """Words and their speech, and erhua words to merge or keep beyond the built-in ones.

    The longest entry wins.  An entry that begins or ends with a Latin letter or digit matches on
    word borders only (a Chinese character beside it is a border).  An entry without capitals
    matches any case; one with capitals matches as written.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    erhua_merge: frozenset[str] = frozenset()
    erhua_keep: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path | str) -> Lexicon:
        """Read a ``.yaml``, ``.yml`` or ``.json`` file; :class:`InputError` on what is wrong."""
        source = Path(path)
        try:
            text = read_limited(source, _MAX_BYTES).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            raise InputError(f"the lexicon {source} cannot be read: {error}") from error
        return cls.of(_parse(text, source), str(source))

    @classmethod
    def of(cls, value: Any, where: str = "the lexicon") -> Lexicon:
        """From parsed YAML or JSON; ``where`` is named in errors."""
        if value is None:
            return cls()
        if not isinstance(value, dict):
            raise InputError(f"{where} is a {type(value).__name__}; expected word: speech pairs.")
        sections = value if set(value) <= set(_SECTIONS) and value else {"words": value}
        words = sections.get("words") or {}
        if not isinstance(words, dict):
            raise InputError(f"{where}: 'words' is no mapping; expected word: speech pairs.")
        return cls(
            {_word(k, where): _word(v, where, empty=True) for k, v in words.items()},
            _erhua(sections.get("erhua_merge"), where),
            _erhua(sections.get("erhua_keep"), where),
        )

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {key: key for key in self.words} | {
            key.casefold(): key for key in self.words if key == key.casefold()
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        entries = sorted(self.words, key=lambda word: (-len(word), word))
        return re.compile("|".join(map(_bordered, entries))) if entries else None

    def apply(self, text: str, report: Report) -> str:
        """``text`` with every word of the lexicon replaced by its speech."""
        if self._pattern is None:
            return text

        def speak(match: re.Match[str]) -> str:
            found = match.group()
            key = found if found in self.words else self._folded[found.casefold()]
            return report.add("lexicon", found, self.words[key])

        return self._pattern.sub(speak, text)


def _bordered(word: str) -> str:
    body = re.escape(word)
    if word == word.casefold():
        body = f"(?i:{body})"
    before = r"(?<![A-Za-z0-9])" if _latin(word[0]) else ""
    after = r"(?![A-Za-z0-9])" if _latin(word[-1]) else ""
    return before + body + after


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _parse(text: str, source: Path) -> Any:
    if source.suffix.lower() == ".json":
        try:
            return parse_json(text)
        except ValueError as error:
            raise InputError(f"the lexicon {source} is not valid JSON: {error}") from error
    try:
        import yaml
    except ImportError as error:
        raise InputError(
            f"{source}: a YAML lexicon needs PyYAML. Install chattts-onnx[text], or write the "
            "same mapping as a .json file."
        ) from error
    try:
        # BaseLoader leaves every scalar a string: `NO: no` and `1: one` mean what they say.
        return yaml.load(text, Loader=yaml.BaseLoader)
    # PyYAML lets through what Python raises on numbers of characters that there are none of.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"the lexicon {source} is not valid YAML: {brief_text(error)}") from error


def _word(value: Any, where: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value.strip() or empty):
        raise InputError(f"{where}: {brief(value)} is no word; expected text (quote numbers).")
    return value.strip()


def _erhua(value: Any, where: str) -> frozenset[str]:
    if value is None or value == "":
        return frozenset()
    if not isinstance(value, Iterable) or isinstance(value, (str, Mapping)):
        raise InputError(f"{where}: erhua sections are lists of words with 儿.")
    words = frozenset(_word(word, where) for word in value)
    if wrong := sorted(word for word in words if "儿" not in word):
        raise InputError(f"{where}: {brief(wrong)} in an erhua section without 儿.")
    return words
