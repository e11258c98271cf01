"""The tokens that sound and how, ``python -m mini.sounds``: writes ``mini/text/sounds.txt``.

A Mandarin character has an initial, a final and a tone, as it is read alone; a piece of an English
word has its phonemes, each at its place, and its stress.  Kept as a file, so that a model is built
without dictionaries.
"""

from __future__ import annotations

from collections import Counter

from pypinyin import Style, lazy_pinyin

from mini.phonemes import word_phonemes
from mini.pieces import choose, longest_first
from mini.text import FOLDER, PLACES, characters, words
from mini.tokenizer import STEMS
from pipeline.core import atomic

STRESS = "ˈ"
# sounds that only their neighbours tell apart, and what is no sound
ALIKE = str.maketrans("ɾᵊᵻ", "təɪ", "ˌ ")


def _stressed(word: str) -> str:
    """Return a word's phonemes and stress, a shortened word's without the next token's."""
    phonemes = word_phonemes(STEMS.get(word, word)).translate(ALIKE)
    if word not in STEMS:
        return phonemes
    return phonemes.removesuffix("t") if word.endswith("n") else phonemes.replace(STRESS, "")[2:]


def piece_parts(spoken: dict[str, str]) -> dict[str, list[str]]:
    """Return the pieces of words, given with their phonemes, and what each sounds like.

    A piece is stressed at a sound if it is in most of its words.
    """
    pieces = choose({word: phonemes.replace(STRESS, "") for word, phonemes in spoken.items()})
    seen: Counter[str] = Counter()
    stresses: Counter[tuple[str, int]] = Counter()
    for word, phonemes in spoken.items():
        stress, at = phonemes.find(STRESS), 0
        for piece in longest_first(word, pieces) or ():
            seen[piece] += 1
            if at <= stress < at + len(pieces[piece]):
                stresses[piece, stress - at] += 1
            at += len(pieces[piece])
    parts = {
        piece: [f"{place}-{sound}" for place, sound in enumerate(sounds[:PLACES])]
        for piece, sounds in pieces.items()
    }
    for (piece, place), count in stresses.items():
        if 2 * count > seen[piece] and len(parts[piece]) < PLACES:
            parts[piece].append(f"stress-{place}")
    return parts


def _character_parts(character: str) -> list[str]:
    def read(style: Style) -> str:
        return str(lazy_pinyin(character, style=style, strict=True)[0])

    full = str(lazy_pinyin(character, style=Style.TONE3, neutral_tone_with_five=True)[0])
    return [f"initial-{read(Style.INITIALS)}", f"final-{read(Style.FINALS)}", f"tone-{full[-1]}"]


def main() -> None:
    """Write the file."""
    lines = [" ".join([c, *_character_parts(c)]) for c in characters()]
    english = piece_parts({word: _stressed(word) for word in (*words(), *STEMS)})
    lines += [" ".join([piece, *parts]) for piece, parts in english.items()]
    atomic.write_text(FOLDER / "sounds.txt", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
