"""NaN and infinity are caught where they come out of a graph, before anything is drawn from them.

What a GPT step writes into its cache needs no look of its own: attention reads it in the same step,
so it shows in that step's hidden state.  An INT8 cache is the exception: it has no NaN, so one that
arises in a key or value alone is stored as a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NonFiniteError

Array = npt.NDArray[Any]


def finite_rows(values: Array) -> npt.NDArray[np.bool_]:
    """For each row of ``values`` [rows, ...] whether all its numbers are finite."""
    finite = np.isfinite(values.reshape(len(values), -1))
    return np.asarray(finite.all(axis=1))


def describe(values: Array) -> str:
    """What is wrong with ``values``: how many of them are NaN and how many are infinite."""
    counts = {"NaN": int(np.isnan(values).sum()), "infinity": int(np.isinf(values).sum())}
    parts = [f"{count} times {name}" for name, count in counts.items() if count]
    return f"{' and '.join(parts)} among {values.size} numbers"


def require_finite(values: Array, graph: str, output: str, axes: tuple[str, ...]) -> None:
    """:class:`NonFiniteError` unless all of ``values`` is finite.

    ``axes`` name the leading dimensions, which the error counts the first such number by.
    """
    finite = np.isfinite(values)
    if finite.all():
        return
    first = np.argwhere(~finite)[0]
    # From the inside out, as the error reads.
    place = [f"{name} {number}" for name, number in zip(axes, first, strict=False)][::-1]
    raise NonFiniteError(graph, output, describe(values), tuple(place))
