"""The plain graphs of a small checkpoint; the fixture has compared them with the modules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from pipeline.bundles import GRAPHS
from pipeline.core.errors import ExportError
from pipeline.export import decoders, gpt
from pipeline.export.common import GraphSpec
from pipeline.export.parity import LEVELS, check_parity
from pipeline.export.run import draw_cases
from pipeline.reference.load import Modules


def _graph(folder: Path, name: str) -> onnx.GraphProto:
    return onnx.load(folder / f"{name}.onnx", load_external_data=False).graph


def test_gpt_is_made_of_standard_operators(smoke_export: Path, smoke_modules: Modules) -> None:
    graph = _graph(smoke_export, "gpt")
    layers = smoke_modules.dims.num_hidden_layers
    counts = Counter(node.op_type for node in graph.node)
    assert counts["MatMul"] == 7 * layers + 1
    assert counts["Attention"] == layers
    assert counts["RMSNormalization"] == 2 * layers + 1
    assert {node.domain for node in graph.node} == {""}


@pytest.mark.parametrize("name", GRAPHS)
def test_sizes_and_nodes_have_names(smoke_export: Path, name: str) -> None:
    model = onnx.load(smoke_export / f"{name}.onnx", load_external_data=False)
    graph = model.graph
    assert graph.name == name
    assert model.doc_string
    names = [node.name for node in graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            assert size.dim_value > 0 or size.dim_param.isidentifier(), value.name


def test_weights_keep_their_names(smoke_export: Path) -> None:
    names = {value.name for value in _graph(smoke_export, "gpt").initializer}
    assert {"layers.1.mlp.down_proj.weight", "norm.weight", "head_code.weight"} <= names
    assert not any("embed_tokens" in name or "parametrizations" in name for name in names)


def test_coef_is_folded(smoke_export: Path) -> None:
    for name in ("decoder", "dvae_decode", "dvae_encode"):
        graph = _graph(smoke_export, name)
        assert not any("coef" in value.name for value in graph.initializer)
    last = _graph(smoke_export, "decoder").node[-1]
    assert last.op_type == "Conv"


def test_cases_include_an_empty_cache(smoke_modules: Modules) -> None:
    spec = gpt.spec(smoke_modules.gpt)
    cases = draw_cases(spec, smoke_modules.dims.num_text_tokens, 3, seed=0)
    lengths = [case["past_key_values.0.key"].shape[2] for case in cases]
    assert lengths[0] == 0
    assert all(lengths[1:])


def test_parity_covers_every_level_and_refuses_a_wrong_graph(
    smoke_export: Path, smoke_modules: Modules
) -> None:
    spec = next(s for s in decoders.specs(smoke_modules) if s.name == "decoder")
    cases = draw_cases(spec, smoke_modules.dims.num_text_tokens, 1, seed=0)
    path = smoke_export / "decoder.onnx"
    rows = check_parity(path, spec, cases, 1e-4)
    assert [row.level for row in rows] == list(LEVELS)

    class Off(torch.nn.Module):
        def forward(self, hidden: Tensor) -> Tensor:
            return spec.module(hidden) * 1.01

    wrong = GraphSpec(spec.name, spec.doc, Off(), spec.inputs, spec.shapes, spec.outputs)
    with pytest.raises(ExportError, match=r"'decoder' at optimization level 'disabled'"):
        check_parity(path, wrong, cases, 1e-4)
