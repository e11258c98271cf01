"""FP16 graphs that overflow on the CPU as they do on a GPU.

ONNX Runtime's CPU provider computes FP16 operators in FP32 and rounds only where a chain of them
ends, so a value beyond 65504 on the way does not show.  Here every FP16 value becomes infinite
where FP16 could not hold it; what follows makes of that what it would on a GPU, and the runtime
names the output that is not finite.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from chattts_onnx.bundle import Bundle
from pipeline.fidelity.audio import Decoded
from pipeline.fidelity.forcing import ForcedBatch
from pipeline.graphs.files import load_graph
from pipeline.graphs.probe import activations, element_types, open_model

_LARGEST = np.float16(65504)


class HalfRangeBundle(Bundle):
    """A bundle on the CPU whose FP16 graphs overflow as they do on a GPU; the others stay."""

    def session(self, name: str) -> ort.InferenceSession:
        """See :class:`~chattts_onnx.bundle.Bundle`."""
        if name not in self._sessions:
            path = self.path / self.manifest.graph(name).file
            model = load_graph(path)
            if has_halves(model):
                overflow_visibly(model, element_types(path))
                self._sessions[name] = open_model(model, path.parent)
        return super().session(name)


def check_range(bundle: Bundle, batches: Iterable[ForcedBatch], decoded: Iterable[Decoded]) -> None:
    """Run what the reference said through FP16 graphs with the range of FP16.

    Nothing is done for a bundle on a GPU, where graphs overflow by themselves, or without FP16.

    Raises:
        NonFiniteError: names the graph and output of the first overflow.
    """
    files = [bundle.path / graph.file for graph in bundle.manifest.graphs.values()]
    if bundle.config.device != "cpu" or not any(has_halves(load_graph(path)) for path in files):
        return
    strict = HalfRangeBundle(bundle.path, bundle.manifest, bundle.config)
    for batch in batches:
        strict.forced(batch.text_ids, batch.attention_mask, batch.codes, batch.speaker)
        strict.text_logits(batch.text_hidden)
    for item in decoded:
        strict.decode_hidden(item.hidden)
        strict.decode_codes(item.codes)


def has_halves(model: ir.Model) -> bool:
    """Whether a graph computes in FP16."""
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    return any(value.dtype == ir.DataType.FLOAT16 for value in values)


def overflow_visibly(model: ir.Model, types: dict[str, ir.DataType]) -> None:
    """Make every FP16 value that a node computes infinite where it is beyond FP16, in place."""
    graph = model.graph
    halves = [v for v in activations(model) if types.get(v.name or "") == ir.DataType.FLOAT16]
    constants = {"limit": _LARGEST, "infinity": np.float16(np.inf)}
    nodes = {
        name: ir.node("Constant", [], attributes={"value": ir.tensor(number)})
        for name, number in constants.items()
    }
    first = next(iter(graph))
    graph.insert_before(first, list(nodes.values()))
    limit, infinity = (node.outputs[0] for node in nodes.values())
    for value in halves:
        uses, producer = list(value.uses()), value.producer()
        if producer is None or not uses:
            continue
        size = ir.node("Abs", [value])
        beyond = ir.node("Greater", [size.outputs[0], limit])
        infinite = ir.node("Mul", [value, infinity])
        held = ir.node("Where", [beyond.outputs[0], infinite.outputs[0], value])
        for use in uses:
            use.node.replace_input_with(use.idx, held.outputs[0])
        graph.insert_after(producer, [size, beyond, infinite, held])
