"""Intervals of ratios over sentences, by the paired bootstrap.

Every figure of the speech report is a ratio of two sums over sentences: errors over words, scores
over utterances that have one.  Sentences are drawn anew with replacement (Efron 1979), the same
draw for both variants of a difference (paired, as Bisani & Ney 2004 do for word error rates), so
that what is hard about a sentence cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
FEWEST = 5
"""With fewer sentences the draws are too alike to tell of a spread: no interval is given."""


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; no bounds below :data:`FEWEST` sentences."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Ratio:
    """Sums over sentences, ``numerator`` and ``denominator`` [sentences]."""

    numerator: Floats
    denominator: Floats

    @classmethod
    def per_sentence(
        cls, numbers: Sequence[int], above: Sequence[float], below: Sequence[float], count: int = 0
    ) -> Ratio:
        """From one entry an utterance; ``numbers`` say which sentence each belongs to, of at least
        ``count``."""
        places = np.asarray(numbers, dtype=np.int64)
        return cls(
            np.bincount(places, np.asarray(above, float), count).astype(np.float64),
            np.bincount(places, np.asarray(below, float), count).astype(np.float64),
        )

    def value(self, weights: Floats | None = None) -> Floats:
        """The ratio, for each row of ``weights`` [draws, sentences] where they are given."""
        if weights is None:
            weights = np.ones((1, len(self.numerator)))
        below = weights @ self.denominator
        above = weights @ self.numerator
        return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


class Bootstrap:
    """Draws of sentences, the same for every figure."""

    def __init__(self, sentences: int, resamples: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.sentences = sentences
        draws = random.multinomial(sentences, np.full(sentences, 1.0 / sentences), resamples)
        self._weights = draws.astype(np.float64)

    def estimate(self, ratio: Ratio, scale: float = 1.0) -> Estimate:
        """``scale`` times the ratio."""
        return self._interval(ratio.value()[0], ratio.value(self._weights), scale)

    def difference(self, ratio: Ratio, baseline: Ratio, scale: float = 1.0) -> Estimate:
        """``scale`` times (ratio − baseline), over the same draws of sentences."""
        drawn = ratio.value(self._weights) - baseline.value(self._weights)
        return self._interval(ratio.value()[0] - baseline.value()[0], drawn, scale)

    def _interval(self, value: float, drawn: Floats, scale: float) -> Estimate:
        known = drawn[np.isfinite(drawn)]
        if self._weights.shape[1] < FEWEST or not len(known):
            return Estimate(scale * float(value), None, None)
        tail = (1.0 - LEVEL) / 2
        low, high = np.quantile(known, [tail, 1.0 - tail])
        return Estimate(scale * float(value), scale * float(low), scale * float(high))
