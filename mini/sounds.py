"""How every token sounds, ``python -m mini.sounds``: writes ``mini/text/sounds.txt``.

A Mandarin character has an initial, a final and a tone, as it is read alone; an English word has
its phonemes, each at its place.  Kept as a file, so that a model is built without dictionaries.
"""

from __future__ import annotations

import re

from pypinyin import Style, lazy_pinyin

from mini.phonemes import word_phonemes
from mini.text import FOLDER, PLACES, characters, words
from mini.tokenizer import STEMS
from pipeline.core import atomic


def _word_parts(word: str) -> list[str]:
    phonemes = re.sub("[ˈˌ ]", "", word_phonemes(STEMS.get(word, word)))
    if word in STEMS and word.endswith("n"):
        phonemes = phonemes.removesuffix("t")
    elif word in STEMS:
        phonemes = phonemes[2:]
    return [f"{place}-{phoneme}" for place, phoneme in enumerate(phonemes[:PLACES])]


def _character_parts(character: str) -> list[str]:
    def read(style: Style) -> str:
        return str(lazy_pinyin(character, style=style, strict=True)[0])

    full = str(lazy_pinyin(character, style=Style.TONE3, neutral_tone_with_five=True)[0])
    return [f"initial-{read(Style.INITIALS)}", f"final-{read(Style.FINALS)}", f"tone-{full[-1]}"]


def main() -> None:
    """Write the file."""
    lines = [" ".join([c, *_character_parts(c)]) for c in characters()]
    lines += [" ".join([w, *_word_parts(w)]) for w in (*STEMS, *words())]
    atomic.write_text(FOLDER / "sounds.txt", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
