"""Voices of several: ``joe(2)+ava(1)`` is two parts of one and one part of another."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..errors import VoiceError
from ..untrusted import brief

Speaker = npt.NDArray[np.float32]
# A plus in a query string is a space, so that after a weight will do.
_BETWEEN = re.compile(r"\s*\+\s*|(?<=\))\s+")
_TERM = re.compile(r"(.+?)(?:\(([^()]*)\))?", re.DOTALL)
_MOST = 32


def parse_mix(voice: str) -> list[tuple[str, float]] | None:
    """Voices with their weights; None where ``voice`` can't be a mix.

    A weight is a positive number in brackets, 1 where there is none.  Raises :class:`VoiceError`.
    """
    terms = _BETWEEN.split(voice.strip())
    if len(terms) == 1 and not terms[0].endswith(")"):
        return None
    if len(terms) > _MOST:
        raise VoiceError(f"a mix of {len(terms)} voices; expected at most {_MOST}.")
    return [_term(term, voice) for term in terms]


def mix(voice: str, find: Callable[[str], Speaker]) -> Speaker | None:
    """The mean of the voices that ``voice`` names, each as heavy as it says; None for no mix."""
    terms = parse_mix(voice)
    if terms is None:
        return None
    vectors = np.stack([find(name) for name, _ in terms]).astype(np.float64)
    weights = np.array([weight for _, weight in terms])
    return (weights @ vectors / weights.sum()).astype(np.float32)


def _term(term: str, whole: str) -> tuple[str, float]:
    match = _TERM.fullmatch(term)
    if match is None or match[1].endswith(")"):
        raise VoiceError(f"{brief(whole)} is no mix of voices; expected one such as joe(2)+ava(1).")
    try:
        weight = 1.0 if match[2] is None else float(match[2])
    except ValueError:
        weight = math.nan
    if not 0 < weight < 1e6:
        raise VoiceError(
            f"the weight of {brief(match[1])} is {brief(match[2])}; expected a number such as 2."
        )
    return match[1].strip(), weight
