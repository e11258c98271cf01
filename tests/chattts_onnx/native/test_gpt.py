from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from chattts_onnx import InputError, open_bundle
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.native.gpt import read_gpt
from chattts_onnx.native.graph import UnknownGraphError, read_graph
from chattts_onnx.native.weights import Form
from tests.chattts_onnx.native import fused_bundle
from tests.chattts_onnx.tiny_bundle import AUDIO, HIDDEN, NUM_VQ

Fused = Callable[[str, bool], Path]
Model = onnx.ModelProto


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("form", fused_bundle.FORMS)
def test_every_form_is_recognised(fused: Fused, form: str, whole: bool) -> None:
    folder = fused(form, whole)
    model = Manifest.load(folder).model
    gpt = read_gpt(read_graph(folder / "gpt.onnx", folder / "gpt.onnx.data"), model)
    forms = {"float": Form.FLOAT, **dict.fromkeys(("static", "wide", "two-bytes"), Form.STATIC)}
    assert gpt.head.form is forms.get(form, Form.BLOCKS)
    assert (gpt.head.lower_scale > 0) is (form == "two-bytes")
    assert (gpt.head.inputs, gpt.head.outputs) == (HIDDEN, NUM_VQ * AUDIO)
    assert len(gpt.layers) == model.num_hidden_layers
    assert all((layer.key_scales is not None) is whole for layer in gpt.layers)
    # what a corrected bias adds in the norm belongs to the product before it
    assert gpt.layers[0].output.bias is not None and gpt.layers[0].down.bias is not None


def _attribute(op: str, name: str, value: Any) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        node = next(node for node in model.graph.node if node.op_type == op)
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def _constant(index: int, value: Any) -> Callable[[Model], None]:
    """Give the first QuantizeLinear or Reshape another constant."""

    def change(model: Model) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Reshape")
        name = f"other{index}"
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
        node.input[index] = name

    return change


def _extra_node(model: Model) -> None:
    model.graph.node.append(helper.make_node("Neg", ["speaker"], ["unread"]))


def _middle_node(model: Model) -> None:
    node = next(node for node in model.graph.node if node.op_type == "GroupQueryAttention")
    model.graph.node.append(helper.make_node("Relu", [node.input[0]], ["bent"]))
    node.input[0] = "bent"


def _newer(model: Model) -> None:
    model.opset_import[0].version = 24


def _swapped_halves(model: Model) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Split")
    node.output[:] = node.output[::-1]


def _bias_input(model: Model) -> None:
    node = next(node for node in model.graph.node if node.op_type == "MatMulNBits")
    node.input.extend(["", "", "speaker"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_attribute("GroupQueryAttention", "softcap", 1.0), "softcap"),
        (_attribute("GroupQueryAttention", "rotary_interleaved", 1), "rotary_interleaved"),
        (_attribute("GroupQueryAttention", "local_window_size", 8), "local_window_size"),
        (_attribute("MatMulNBits", "accuracy_level", 0), "accuracy_level"),
        (_attribute("QuickGelu", "alpha", 1.702), "alpha"),
        (_attribute("RMSNormalization", "axis", 1), "axis"),
        (_attribute("Gather", "axis", 0), "axis"),
        (_constant(1, [-1, 7]), "is not"),
        (_extra_node, "Neg"),
        (_middle_node, "Relu"),
        (_newer, "operator sets"),
        (_swapped_halves, "made by Split"),
        (_bias_input, "MatMulNBits|blocks"),
    ],
)
def test_a_graph_with_anything_unknown_is_left_to_onnx_runtime(
    fused: Fused, tmp_path: Path, change: Callable[[Model], None], reason: str
) -> None:
    source = fused("w8", True)
    model = onnx.load(source / "gpt.onnx", load_external_data=False)
    change(model)
    (tmp_path / "gpt.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "gpt.onnx.data").write_bytes((source / "gpt.onnx.data").read_bytes())
    info = Manifest.load(source).model
    with pytest.raises(UnknownGraphError, match=reason):
        read_gpt(read_graph(tmp_path / "gpt.onnx", tmp_path / "gpt.onnx.data"), info)


def test_another_model_than_the_manifest_tells_is_refused(fused: Fused) -> None:
    folder = fused("w8", True)
    graph = read_graph(folder / "gpt.onnx", folder / "gpt.onnx.data")
    info = Manifest.load(folder).model
    for other in (
        replace(info, num_hidden_layers=3),
        replace(info, num_attention_heads=4),
        replace(info, num_text_tokens=info.num_text_tokens + 1),
        replace(info, kv_dtype="float32"),
        replace(info, head_dim=8),
    ):
        with pytest.raises(UnknownGraphError):
            read_gpt(graph, other)


@pytest.mark.usefixtures("library")
def test_auto_falls_back_with_a_reason_and_native_insists(bundle_path: Path, fused: Fused) -> None:
    plain = open_bundle(bundle_path, threads=1, step="auto")
    assert plain.step.engine == "ort" and "does not know" in plain.step.why
    with pytest.raises(InputError, match="no native step: the graph has what"):
        _ = open_bundle(bundle_path, threads=1, step="native").step
    with pytest.raises(InputError, match="'fast'; expected auto, native, ort"):
        open_bundle(bundle_path, step="fast")
    known = open_bundle(fused("w8", True), threads=1, step="auto")
    assert known.step.engine == "native" and "1 threads" in known.step.why
    assert open_bundle(fused("w8", True), step="ort").step.engine == "ort"


def test_the_variable_chooses_where_no_argument_does(
    fused: Fused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATTTS_STEP", "ort")
    assert open_bundle(fused("w8", True)).step.why == "it was asked for"
    monkeypatch.setenv("CHATTTS_STEP", "quick")
    with pytest.raises(InputError, match="CHATTTS_STEP is 'quick'"):
        open_bundle(fused("w8", True))
