"""The pieces that English words are made of.

A word has up to twelve sounds, and a model that hears only itself loses its place among them; a
Mandarin character has three or four.  So words are cut where letters and sounds meet, into pieces
of two to four sounds that sound alike in every word of the list.  A WordPiece tokenizer takes the
longest piece at each place, so a cut counts only if it comes out of that; a word that no cut fits
stays whole.  Words that are not in the list are read by their pieces.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping

# letters and their sounds, in order: as they belong together, and as they are cut
Units = tuple[tuple[str, str], ...]
Way = tuple[tuple[str, str], ...]
# letters that may spell a sound together, and sounds that letters may stand for
LETTERS, SOUNDS = 4, 2
ROUNDS = 6
# what a piece of so many sounds costs: three or four are a syllable
SIZE_COST = {1: 1.3, 2: 0.9, 3: 0.9, 4: 1.8, 5: 4.5, 6: 7.0}
NEW_COST, OTHERWISE_COST, INSIDE_COST = 1.2, 2.0, 0.4
CANDIDATES = 64
# what has more sounds stands in few words, and must not take the place of shorter pieces in others
FEW = 4
LETTER = re.compile("##[aeiou]|[^aeiou]")
PLAIN = dict(zip("bcdfgklmnprstvwxyz", "bkdfɡklmnpɹstvwxiz", strict=True)) | {"x": "ks"}
_VOWELS = "AIOQWYaeiouæɑɒɔəɛɜɪʊʌᵻɐᵊ"


def _ways(word: str, sounds: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield which letters may spell which sounds: (first, how many, first sound, how many)."""
    for i, j in itertools.product(range(len(word)), range(len(sounds) + 1)):
        for n, m in itertools.product(range(1, LETTERS + 1), range(SOUNDS + 1)):
            if i + n <= len(word) and j + m <= len(sounds) and not (n > 1 and m > 1):
                yield i, n, j, m


def _align(word: str, sounds: str, cost: Mapping[tuple[str, str], float]) -> Units | None:
    """Return letters and their sounds in order, as cheap as possible."""
    best: dict[tuple[int, int], tuple[float, int, int]] = {(0, 0): (0.0, 0, 0)}
    for i, n, j, m in _ways(word, sounds):
        if (i, j) not in best:
            continue
        unit = word[i : i + n], sounds[j : j + m]
        total = best[i, j][0] + cost.get(unit, 14.0) + 0.8 * (n > 1) + 0.9 * (m != 1)
        if total < best.get((i + n, j + m), (math.inf,))[0]:
            best[i + n, j + m] = total, n, m
    i, j = len(word), len(sounds)
    if (i, j) not in best:
        return None
    found = []
    while i:
        _, n, m = best[i, j]
        found.append((word[i - n : i], sounds[j - m : j]))
        i, j = i - n, j - m
    return tuple(reversed(found))


def align(lexicon: Mapping[str, str]) -> dict[str, Units]:
    """Align the letters of words with their sounds, learning which goes with which from them."""
    counts: Counter[tuple[str, str]] = Counter()
    for word, sounds in lexicon.items():
        for i, n, j, m in _ways(word, sounds):
            if abs((i + n / 2) / len(word) - (j + m / 2) / max(len(sounds), 1)) < 0.35:
                counts[word[i : i + n], sounds[j : j + m]] += 1
    found: dict[str, Units] = {}
    for _ in range(ROUNDS):
        of_letters: Counter[str] = Counter()
        for (letters, _), count in counts.items():
            of_letters[letters] += count
        # both how often, and how often among what these letters spell
        total = sum(counts.values())
        cost = {
            unit: -0.5 * math.log(count / of_letters[unit[0]]) - 0.5 * math.log(count / total)
            for unit, count in counts.items()
        }
        aligned = {word: _align(word, sounds, cost) for word, sounds in lexicon.items()}
        found = {word: units for word, units in aligned.items() if units is not None}
        counts = Counter(unit for units in found.values() for unit in units)
    return found


def cuts(units: Units) -> list[tuple[float, Way]]:
    """Return ways to cut a word into pieces (letters, sounds) and their costs, cheap first."""
    ways: list[list[tuple[float, Way]]] = [[(0.0, ())]]
    for end in range(1, len(units) + 1):
        here = []
        for begin in range(end - 1, -1, -1):
            sounds = "".join(sound for _, sound in units[begin:end])
            if len(sounds) > max(SIZE_COST):
                break
            silent_next = end < len(units) and not units[end][1]
            if not sounds or silent_next:
                continue
            following = "".join(sound for _, sound in units[end:])
            # best before a consonant that a vowel follows
            onset = re.match(f"[^{_VOWELS}][jwlɹ]?[{_VOWELS}]", following)
            price = SIZE_COST[len(sounds)] + (INSIDE_COST if following and not onset else 0.0)
            if not re.search(f"[{_VOWELS}]", sounds):
                price += INSIDE_COST
            letters = ("##" if begin else "") + "".join(letter for letter, _ in units[begin:end])
            here += [(cost + price, (*cut, (letters, sounds))) for cost, cut in ways[begin]]
        ways.append(sorted(here)[:CANDIDATES])
    return ways[-1]


def longest_first(word: str, pieces: Mapping[str, str]) -> list[str] | None:
    """Return the pieces that WordPiece cuts a word into, or None if it cannot."""
    found, at = [], 0
    while at < len(word):
        for end in range(len(word), at, -1):
            piece = ("##" if at else "") + word[at:end]
            if piece in pieces:
                found.append(piece)
                at = end
                break
        else:
            return None
    return found


def _spoken(word: str, pieces: Mapping[str, str]) -> str | None:
    found = longest_first(word, pieces)
    return None if found is None else "".join(pieces[piece] for piece in found)


def choose(lexicon: Mapping[str, str]) -> dict[str, str]:
    """Return pieces and their sounds, such that the longest at each place say every word right.

    Words come in order, the most frequent first; none may change how one before it is said.
    """
    options = {word: cuts(units) for word, units in align(lexicon).items()}
    pieces = {f"##{letter}": sound for letter, sound in PLAIN.items()}
    right: dict[str, None] = {}
    wanted: Counter[tuple[str, str]] = Counter()
    for ways in options.values():
        wanted.update({part for _, way in ways for part in way})
    of_piece: Counter[str] = Counter()
    for (piece, _), count in wanted.items():
        of_piece[piece] += count

    def price(part: tuple[str, str]) -> float:
        """What a new piece costs: less if many words can use it, more if they say it otherwise."""
        if part[0] in pieces:
            return 0.0
        return NEW_COST / wanted[part] ** 0.5 + OTHERWISE_COST * (
            1 - wanted[part] / of_piece[part[0]]
        )

    def fits(word: str, way: Way) -> bool:
        if any(
            pieces.get(piece, sounds) != sounds or LETTER.fullmatch(piece) for piece, sounds in way
        ):
            return False
        new = {piece: sounds for piece, sounds in way if piece not in pieces}
        more = ChainMap(new, pieces)
        touched = [piece.removeprefix("##") for piece in new]
        return longest_first(word, more) == [piece for piece, _ in way] and all(
            _spoken(other, more) == lexicon[other]
            for other in right
            if any(part in other for part in touched)
        )

    left = list(lexicon)
    while left:
        for word in left:
            ways = sorted((cost + sum(map(price, way)), way) for cost, way in options.get(word, ()))
            whole = ((word, lexicon[word]),)
            pieces.update(next((way for _, way in ways if fits(word, way)), whole))
            right[word] = None
        left = [word for word, sounds in lexicon.items() if _spoken(word, pieces) != sounds]
        for word in left:
            del right[word]
    used = {piece for word in lexicon for piece in longest_first(word, pieces) or ()}
    return {piece: sounds for piece, sounds in pieces.items() if piece in used}
