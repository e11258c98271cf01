"""Statistics of a tensor in fixed memory, however many batches it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import QuantizationError

Array = NDArray[Any]


@dataclass
class Histogram:
    """Counts over [-limit, limit] in equal bins, with the exact minimum and maximum.

    ``limit`` is a power of two and doubles when a value falls outside: pairs of bins merge then,
    so the counts are the same whatever the order of the batches.

    Attributes:
        bins: number of bins, a power of two from 4.
    """

    bins: int
    minimum: float = math.inf
    maximum: float = -math.inf
    limit: float = 0.0
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.bins, np.int64)

    @property
    def total(self) -> int:
        """Values seen so far."""
        return int(self.counts.sum())

    def update(self, values: Array) -> None:
        """Count ``values`` (any shape).

        Raises:
            QuantizationError: a value is not finite.
        """
        flat = np.asarray(values, np.float32).reshape(-1)
        if flat.size == 0:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise QuantizationError(
                f"found values from {low} to {high} among the activations, expected finite ones; "
                "check the FP32 bundle before quantizing it"
            )
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self._grow(max(-low, high))
        # exact: bins and limit are powers of two, so that order of the batches cannot matter
        scaled = np.floor(flat * np.float32(self.bins / (2 * self.limit)))
        index = np.clip(scaled.astype(np.int64) + self.bins // 2, 0, self.bins - 1)
        self.counts += np.bincount(index, minlength=self.bins)

    def _grow(self, magnitude: float) -> None:
        needed = 2.0 ** math.ceil(math.log2(max(magnitude, 2.0**-60)))
        if self.limit == 0.0:
            self.limit = needed
        while self.limit < needed:
            self.counts = _merge_pairs(self.counts)
            self.limit *= 2

    def merged(self, other: Histogram) -> Histogram:
        """The histogram of both; neither is changed.

        Raises:
            QuantizationError: the two have another number of bins.
        """
        if self.bins != other.bins:
            raise QuantizationError(
                f"found histograms of {self.bins} and {other.bins} bins, expected equal ones; "
                "run the calibrate stage again"
            )
        result = Histogram(self.bins)
        for part in (self, other):
            if part.limit == 0.0:
                continue
            result._grow(part.limit)
            grown = Histogram(part.bins)
            grown.counts, grown.limit = part.counts.copy(), part.limit
            grown._grow(result.limit)
            result.counts += grown.counts
            result.minimum = min(result.minimum, part.minimum)
            result.maximum = max(result.maximum, part.maximum)
        return result


def _merge_pairs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts over [-2L, 2L) from those over [-L, L)."""
    quarter = len(counts) // 4
    merged = np.zeros_like(counts)
    merged[quarter:-quarter] = counts.reshape(-1, 2).sum(1)
    return merged
