"""How long a text should take to say, and what became of the takes of a speech."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from ..decoding.params import GenerationParams
from ..decoding.request import Generation, Request
from ..decoding.takes import Fault, Watch
from ..format.abilities import has_random_weights
from ..model import Floats, Model
from ..text.core.tags import TAG

# Steps (21.3 ms) that a letter of an alphabet and a Chinese character usually take: some 15 letters
# and 4.5 characters a second.  A voice's own pace, [speed_N] and a slow reader lie between the
# bounds.
LETTER, CHARACTER = 3.0, 10.0
# A take is short below this share of the usual, long above that one and some seconds.
SHORT, LONG = 0.55, 2.2
_MARK, _TAG_STEPS, _SECONDS = 25, 80, 94
_MARKS = frozenset(",.?!;:，。？！、；：")

# A take is silence below this level, and broken with so many quiet seconds inside.
_QUIET, _GAP = 0.005, 3.0


def usual_steps(text: str) -> tuple[float, float]:
    """Steps that a text's words usually take, and at most its pauses and laughs besides."""
    words, rest = TAG.subn(" ", text)
    count, beside = 0.0, float(rest * _TAG_STEPS)
    for character in words:
        if character in _MARKS:
            beside += _MARK
        elif character >= "\u2e80":
            count += CHARACTER
        elif unicodedata.category(character)[0] in "LN":
            count += LETTER if character.isalpha() else 4 * LETTER
    return count, beside


def watch_over(bundle: Model, text: str, params: GenerationParams) -> Watch | None:
    """What is expected of a take of ``text``; None where nothing is.

    Random weights neither speak nor end, and a bundle that tells nothing of its checkpoint may be
    of such.
    """
    described = bundle.manifest.checkpoint
    if params.takes < 2 or bundle.abilities is None or has_random_weights(described):
        return None
    usual, beside = usual_steps(text)
    most = max(LONG * usual + beside + _SECONDS, 1.5 * params.min_new_tokens)
    return Watch(int(SHORT * usual), int(most))


def level_fault(audio: Floats, sample_rate: int) -> Fault | None:
    """:attr:`.Fault.SILENT` where ``audio`` [samples] is silent, or falls silent for seconds."""
    loud = abs(audio) > _QUIET
    if not loud.any():
        return Fault.SILENT
    places = loud.nonzero()[0]
    gaps = places[1:] - places[:-1]
    longest = max(int(gaps.max(initial=0)), len(audio) - int(places[-1]))
    return Fault.SILENT if longest > _GAP * sample_rate else None


@dataclass
class Takes:
    """Counts over the pieces of a speech: how many takes they took, and why.

    ``drawn`` counts takes, ``refused`` the faults of those that were drawn again, ``faults`` those
    of pieces for which no take was left: their audio is the last one's, cut where it went wrong.
    """

    pieces: int = 0
    drawn: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, spoken: Request | Generation) -> None:
        """Count a piece that is done."""
        self.pieces += 1
        self.drawn += 1 + len(spoken.refused)
        self.refused.update(str(fault) for fault in spoken.refused)
        if spoken.fault is not None:
            self.faults[str(spoken.fault)] += 1

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {fault}" for fault, count in sorted(self.refused.items()))
        text = f"{self.drawn} takes for {self.pieces} pieces" + (f" ({kinds})" if kinds else "")
        left = ", ".join(sorted(self.faults))
        return text + (f"; {sum(self.faults.values())} are still wrong ({left})" if left else "")
