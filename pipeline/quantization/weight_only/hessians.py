"""Second moments of what each quantized layer reads, over the recorded prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graphs.probe import Feeds, TensorProbe

Array = NDArray[Any]

BUDGET_BYTES = 1 << 30
"""Hessians held at once; a graph that needs more is run several times over the recordings."""


def hessians(
    path: Path,
    widths: Mapping[str, int],
    batches: Callable[[], Iterable[Feeds]],
    budget: int = BUDGET_BYTES,
) -> Iterator[dict[str, Array]]:
    """Sums of outer products of activations, group by group, so that memory stays bounded.

    Args:
        path: the FP32 graph.
        widths: name of each activation and the size K of its last axis, in the graph's order.
        batches: gives the graph's inputs, anew at each call.
        budget: bytes that the Hessians of one group may take (one always fits).

    Yields:
        Per group, name of each activation and its Hessian, float32 [K, K].
    """
    for group in grouped(widths, budget):
        yield _collect(path, {name: widths[name] for name in group}, batches())


def grouped(widths: Mapping[str, int], budget: int) -> list[list[str]]:
    """Activations in their order, parted so that each group's Hessians fit into ``budget``."""
    groups: list[list[str]] = []
    used = 0
    for name, width in widths.items():
        size = 4 * width * width
        if not groups or used + size > budget:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    return groups


def _collect(path: Path, widths: Mapping[str, int], batches: Iterable[Feeds]) -> dict[str, Array]:
    probe = TensorProbe(path, list(widths))
    sums = {name: np.zeros((width, width), np.float32) for name, width in widths.items()}
    for feeds in batches:
        for name, value in probe.run(feeds).items():
            rows = value.reshape(-1, widths[name]).astype(np.float32, copy=False)
            sums[name] += rows.T @ rows
    return sums
