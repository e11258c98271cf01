"""Statistics of each channel of a tensor: what bias correction needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class ChannelStatistics:
    """Largest magnitude and sum of each channel.

    Attributes:
        largest: float32 [C].
        total: float64 [C].
        count: values each channel took.
    """

    largest: Array
    total: Array
    count: int = 0

    @classmethod
    def empty(cls, channels: int) -> ChannelStatistics:
        """Statistics that have seen nothing."""
        return cls(np.zeros(channels, np.float32), np.zeros(channels, np.float64))

    def update(self, rows: Array) -> None:
        """Count ``rows`` [n, C]; n may be 0."""
        if not len(rows):
            return
        np.maximum(self.largest, np.abs(rows).max(axis=0), out=self.largest)
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)

    def merged(self, other: ChannelStatistics) -> ChannelStatistics:
        """The statistics of both; neither is changed."""
        return ChannelStatistics(
            np.maximum(self.largest, other.largest),
            self.total + other.total,
            self.count + other.count,
        )

    @property
    def mean(self) -> Array:
        """Mean of each channel, float64 [C]."""
        result: Array = self.total / max(self.count, 1)
        return result


def channel_rows(values: Array, axis: int) -> Array:
    """``values`` as [n, C], where ``axis`` holds the C channels."""
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
