"""A take that goes wrong, noticed from its codes while it is made: what a batch draws again.

Autoregressive speech sometimes loops, runs on, falls silent or drops words.  Nobody listens here:
a take is judged by its length for its text and by how far its codes repeat themselves.  Codes of a
silence, and of a syllable that hangs, repeat as a loop does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

WINDOW = 48
"""Steps (1 s) over which codes are compared with those before them.

With a look each :data:`EVERY` steps a loop is found before a stream with the exact look-ahead (52
steps in ChatTTS) has played more than 0.1 s of it."""
LONGEST_PERIOD = 96
"""Steps (2 s) of the longest loop that is looked for."""
ALIKE = 0.5
"""Share of equal codes above which a window is a loop.

Speech of ``mini`` has at most 0.23, at any temperature; ``python -m pipeline.studies.takes``."""
EVERY = 8
"""Steps between two looks, so that looking costs next to nothing."""


class Fault(StrEnum):
    """What is wrong with a take."""

    EMPTY = "empty"
    """It ended at its first step."""
    SHORT = "short"
    """It ended long before its text could have been said."""
    LONG = "long"
    """It goes on long after its text should have been said."""
    LOOP = "loop"
    """Its codes repeat themselves: a loop, a hanging sound, a silence."""
    SILENT = "silent"
    """Its audio is silence, or has seconds of it inside."""
    UNHEARD = "unheard"
    """A recogniser heard something else."""


@dataclass(frozen=True)
class Watch:
    """What is expected of a take: ``least`` to ``most`` steps, and no loop."""

    least: int = 0
    most: int | None = None

    def look(self, codes: Ints) -> tuple[Fault, int | None] | None:
        """What is wrong with the codes [T, num_vq] so far, and where it began, if known."""
        steps = len(codes)
        if self.most is not None and steps >= self.most:
            return Fault.LONG, None
        if steps % EVERY == 0 and (start := loop_start(codes)) is not None:
            return Fault.LOOP, start
        return None

    def ended(self, steps: int) -> Fault | None:
        """What is wrong with a take that ended by itself after ``steps``."""
        return Fault.SHORT if steps < self.least else None


def loop_start(codes: Ints) -> int | None:
    """The step at which the last :data:`WINDOW` steps of ``codes`` [T, num_vq] began to repeat
    what came up to :data:`LONGEST_PERIOD` steps before them; None where they don't.
    """
    periods = min(LONGEST_PERIOD, len(codes) - WINDOW)
    if periods < 1:
        return None
    last = codes[-WINDOW:]
    # [periods, WINDOW, num_vq]: row i holds the window that ends periods - i steps earlier
    earlier = np.lib.stride_tricks.sliding_window_view(
        codes[-WINDOW - periods : -1], WINDOW, axis=0
    )
    alike = (earlier == last.T).mean(axis=(1, 2))
    best = int(alike.argmax())
    return None if alike[best] < ALIKE else len(codes) - WINDOW
