"""One graph from FP32 to FP16: reference run, exclusions, conversion, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph, save_graph
from pipeline.graphs.probe import Feeds, MagnitudeProbe, element_types, open_model
from pipeline.quantization.config import Fp16Config
from pipeline.quantization.fp16.convert import CACHE_PREFIXES, convert, prepare
from pipeline.quantization.fp16.ranges import Kept, find_kept


@dataclass(frozen=True)
class Fp16Graph:
    """What became of one graph.

    Attributes:
        nodes: nodes of the FP32 graph.
        kept: those that stay FP32.
        largest: largest magnitude of any activation in the reference run.
        max_error: per float output, the largest difference from FP32 on the reference inputs.
    """

    nodes: int
    kept: list[Kept]
    largest: float
    max_error: Mapping[str, float]


def convert_graph(
    source: Path, batches: Sequence[Feeds], config: Fp16Config, destination: Path
) -> Fp16Graph:
    """Write ``destination``, the FP16 form of the FP32 graph ``source``.

    Args:
        source: a graph of the FP32 bundle.
        batches: real inputs: they decide what stays FP32, and the result is checked on them.
        config: the rules.
        destination: path of the new ``.onnx``; its weights go beside it.

    Raises:
        QuantizationError: an activation or weight does not fit, ONNX Runtime refuses the result,
            or it is not finite on inputs where FP32 is.
    """
    types = element_types(source)
    probe = MagnitudeProbe(source, types)
    for feeds in batches:
        probe.run(feeds)
    magnitudes = probe.magnitudes
    del probe
    model = load_graph(source)
    prepare(model)
    nodes = len(model.graph)
    kept = find_kept(model.graph, magnitudes, types, config)
    result = convert(model, types, {entry.node for entry in kept})
    save_graph(result, destination)
    largest = max(magnitudes.values(), default=0.0)
    return Fp16Graph(nodes, kept, largest, _compare(source, destination, batches))


def _compare(source: Path, destination: Path, batches: Sequence[Feeds]) -> dict[str, float]:
    """Largest difference of each float output; the sessions are open one after the other."""
    reference = _outputs(source, batches)
    errors: dict[str, float] = {}
    for wanted, found in zip(reference, _outputs(destination, batches), strict=True):
        for name, value in wanted.items():
            if not np.isfinite(found[name]).all():
                raise QuantizationError(
                    f"{destination.name}: output '{name}' is not finite in FP16, expected finite "
                    "values as in FP32; lower precision.fp16.max_range or name nodes in keep_names"
                )
            error = float(np.abs(found[name] - value).max(initial=0.0))
            errors[name] = max(errors.get(name, 0.0), error)
    return errors


def _outputs(path: Path, batches: Sequence[Feeds]) -> list[dict[str, np.ndarray]]:
    model = load_graph(path)
    names = [
        value.name or ""
        for value in model.graph.outputs
        if value.dtype == ir.DataType.FLOAT and not (value.name or "").startswith(CACHE_PREFIXES)
    ]
    if not names:
        return [{} for _ in batches]
    half = {value.name for value in model.graph.inputs if value.dtype == ir.DataType.FLOAT16}
    session = open_model(model, path.parent)
    results = []
    for feeds in batches:
        typed = {
            name: array.astype(np.float16) if name in half else array
            for name, array in feeds.items()
        }
        results.append(dict(zip(names, session.run(names, typed), strict=True)))
    return results
