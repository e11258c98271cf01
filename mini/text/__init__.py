"""Text that mini learns from, as data files: see ``mini/text/README.md``."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from chattts_onnx.text import normalize
from chattts_onnx.text.cleanup import clean_text

FOLDER = Path(__file__).resolve().parent
# a second folder of the same form, for text that is still being written
MORE = "MINI_TEXT"
LANGUAGES = ("zh", "en")
TOPICS = ("domain", "everyday")
# phonemes of a word that have a place
PLACES = 12


@cache
def characters() -> tuple[str, ...]:
    """Return the Mandarin characters that are tokens, the most frequent first."""
    return tuple("".join((FOLDER / "characters.txt").read_text("utf-8").split()))


@cache
def words() -> tuple[str, ...]:
    """Return the English words that pieces are made of, the most frequent first."""
    return tuple((FOLDER / "words.txt").read_text("utf-8").split())


@cache
def sounds() -> dict[str, list[str]]:
    """Return the sounds of each token that has some, see :mod:`mini.sounds`."""
    lines = (FOLDER / "sounds.txt").read_text("utf-8").splitlines()
    return {token: parts for token, *parts in map(str.split, lines)}


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def heldout(language: str, topic: str) -> list[str]:
    """Return the sentences to judge by of a topic, ``domain`` or ``everyday``."""
    return _lines(FOLDER / f"heldout_{language}_{topic}.txt")


def written(language: str) -> list[str]:
    """Return the sentences of one language to learn from, without those to judge by."""
    folders = [FOLDER, *([Path(os.environ[MORE])] if MORE in os.environ else [])]
    kept_out = {
        line
        for folder in folders
        for path in folder.glob(f"heldout_{language}_*.txt")
        for line in _lines(path)
    }
    found: dict[str, None] = {}
    for folder in folders:
        for path in sorted((folder / language).glob("*.txt")):
            found.update((line, None) for line in _lines(path) if line not in kept_out)
    return list(found)


def as_spoken(line: str) -> str:
    """Return a line as a bundle would give it to the model."""
    return clean_text(normalize(line).text)
