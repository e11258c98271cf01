"""From an utterance's pieces and durations to tokens and when each of them is spoken."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mini import text
from mini.phoneme_types import Piece
from mini.tokenizer import build_tokenizer, vocabulary

Floats = NDArray[np.float32]
# mel frames of silence that a break is, two in a step
BREAKS = {"[uv_break]": 28, "[lbreak]": 72}
WITH_BREAKS = 0.18
# words that are spelt in letters, so that letters are learned from many words
SPELT_UTTERANCES, SPELT_WORDS = 0.2, 0.35
FRAME_SECONDS = 256 / 24_000


@dataclass(frozen=True)
class Timed:
    """One token of an utterance: its id, when it ends in seconds, and whether a word ends there."""

    id: int
    end: float
    boundary: bool


@cache
def piece_ids(piece: str) -> tuple[int, ...]:
    """Return the tokens of one piece."""
    return tuple(build_tokenizer().encode(piece, add_special_tokens=False).ids)


@cache
def spelt_ids(word: str) -> tuple[int, ...]:
    """Return a word's letters as tokens."""
    tokens = vocabulary()
    return tuple(tokens[("##" if index else "") + c] for index, c in enumerate(word.lower()))


@cache
def _sound_counts() -> dict[int, int]:
    """Return how many sounds each token has that has some; letters have one."""
    tokens = vocabulary()
    letters = {("##" if inside else "") + c: 1 for c in string.ascii_lowercase for inside in (0, 1)}
    known = {t: sum(p[0].isdigit() for p in parts) for t, parts in text.sounds().items()}
    return {tokens[token]: count for token, count in (letters | known).items()}


def _token_ends(
    ids: Sequence[int], phonemes: str, ends: Floats, begin: float, end: float
) -> list[float]:
    """Return when each token of a piece ends that is spoken from ``begin`` to ``end``."""
    heard = [float(e) for phoneme, e in zip(phonemes, ends, strict=False) if phoneme not in " ˈˌ"]
    counts = [_sound_counts().get(token, 0) for token in ids]
    said = [round(sum(counts[: n + 1]) / max(1, sum(counts)) * len(heard)) for n in range(len(ids))]
    return [*((heard[n - 1] if n else begin) for n in said[:-1]), end]


def timed_tokens(
    pieces: Sequence[Piece], ends: Floats, rng: random.Random | None = None
) -> list[Timed]:
    """Return the tokens of an utterance and when each ends.

    A word's tokens share its phonemes by how many sounds each of them has; the space in front of a
    piece belongs to the one before.

    Args:
        pieces: the utterance's, with their phonemes.
        ends: seconds [phonemes] when each phoneme ends.
        rng: spells some words in letters, if given.
    """
    spell = rng is not None and rng.random() < SPELT_UTTERANCES
    timed: list[Timed] = []
    at, begin = 0, 0.0
    for index, (piece, phonemes) in enumerate(pieces):
        at += len(phonemes)
        following = pieces[index + 1][1] if index + 1 < len(pieces) else ""
        last = at if following.startswith(" ") else at - 1
        end = float(ends[last]) if phonemes and at <= len(ends) else begin
        word = piece.isascii() and piece.isalpha()
        spelt = word and spell and rng is not None and rng.random() < SPELT_WORDS
        ids = spelt_ids(piece) if spelt else piece_ids(piece)
        boundary = following.startswith(" ") and index + 1 < len(pieces)
        heard = ends[at - len(phonemes) : at]
        for token, until in zip(ids, _token_ends(ids, phonemes, heard, begin, end), strict=True):
            timed.append(Timed(token, until, False))
        if timed and boundary:
            timed[-1] = replace(timed[-1], boundary=True)
        begin = end
    return timed


def tokens_at(ends: Floats, steps: int) -> NDArray[np.int16]:
    """Return which of the things that end at ``ends`` is spoken in the middle of each step."""
    middle = (np.arange(steps) + 0.5) * 2 * FRAME_SECONDS
    found = np.searchsorted(ends, middle, side="right")
    return np.minimum(found, len(ends) - 1).astype(np.int16)


def insert_breaks(
    timed: list[Timed], mel: Floats, ends: Floats, rng: random.Random
) -> tuple[list[Timed], Floats, Floats]:
    """Put one or two breaks between words: tokens, silent mel frames, later ends.

    Args:
        timed: tokens in order.
        mel: [frames, num_mels].
        ends: seconds at which phonemes end.
        rng: of all draws.
    """
    places = [index for index, token in enumerate(timed) if token.boundary]
    for place in sorted(rng.sample(places, min(len(places), rng.randint(1, 2))), reverse=True):
        name = rng.choices(list(BREAKS), (2, 1))[0]
        moment = timed[place].end
        at = round(moment / FRAME_SECONDS)
        if not 4 < at < len(mel) - 4:
            continue
        quiet = np.sort(mel.mean(1))[3]
        silence = mel[np.argmin(np.abs(mel.mean(1) - quiet))]
        count = BREAKS[name]
        fade = np.linspace(0, 1, 4, dtype=np.float32)[1:3, None]
        gap = np.repeat(silence[None], count, axis=0)
        gap[:2] = mel[at - 1] * (1 - fade) + silence * fade
        gap[-2:] = silence * (1 - fade) + mel[at] * fade
        mel = np.concatenate([mel[:at], gap, mel[at:]])
        shift = count * FRAME_SECONDS
        broken = Timed(vocabulary()[name], moment + shift, False)
        later = [Timed(t.id, t.end + shift, t.boundary) for t in timed[place + 1 :]]
        timed = [*timed[: place + 1], broken, *later]
        ends = np.where(ends > moment + 1e-4, ends + np.float32(shift), ends)
    return timed, mel, ends
