"""Weights of a graph lie in the file whose hash was checked, or nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chattts_onnx import BundleError, open_bundle
from chattts_onnx.decoding.device_step import extension
from chattts_onnx.format.external_data import external_files
from chattts_onnx.format.manifest import Manifest
from tests.chattts_onnx.tiny_bundle import MODEL


def outside(name: str, location: str) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def everywhere() -> onnx.ModelProto:
    """External tensors in all places that ONNX allows a tensor in."""
    constant = helper.make_node("Constant", [], ["c"], value=outside("c", "node"))
    inner = helper.make_graph([constant], "inner", [], [], [outside("i", "subgraph")])
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    listed = helper.make_node("Custom", ["x"], ["z"], domain="d")
    listed.attribute.append(helper.make_attribute("t", [outside("t", "list")]))
    listed.attribute.append(helper.make_attribute("g", [inner]))
    graph = helper.make_graph([branch, listed], "g", [], [], [outside("w", "initializer")])
    sparse = graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside("s", "sparse values"))
    sparse.indices.CopyFrom(outside("n", "sparse indices"))
    model = helper.make_model(graph)
    function = model.functions.add(name="f", domain="d")
    function.node.append(helper.make_node("Constant", [], ["c"], value=outside("c", "function")))
    step = model.training_info.add()
    step.algorithm.CopyFrom(helper.make_graph([], "a", [], [], [outside("a", "training")]))
    return model


def test_every_place_of_a_tensor_is_looked_into() -> None:
    assert external_files(everywhere().SerializeToString()) == {
        "node", "subgraph", "list", "initializer", "sparse values", "sparse indices", "function",
        "training",
    }  # fmt: skip
    inside = numpy_helper.from_array(np.ones(3, np.float32), "w")
    assert external_files(helper.make_model(
        helper.make_graph([], "g", [], [], [inside])).SerializeToString()
    ) == set()  # fmt: skip


def test_what_is_appended_to_a_graph_is_looked_into_as_well(bundle_path: Path) -> None:
    data = (bundle_path / "gpt.onnx").read_bytes()
    assert external_files(data + extension(MODEL)) == {"gpt.onnx.data"}
    hidden = helper.make_model(helper.make_graph([], "g", [], [], [outside("w", "more")]))
    assert external_files(data + hidden.SerializeToString()) == {"gpt.onnx.data", "more"}


@pytest.mark.parametrize("data", [b"\x0a\xff", b"\xff" * 20, b"\x3a\x05\x0a", b"\x0f", b"\x09\0"])
def test_what_is_no_protocol_buffer_is_an_error(data: bytes) -> None:
    with pytest.raises(BundleError):
        external_files(data)


def test_endless_nesting_is_refused() -> None:
    """Graphs in attributes of nodes of graphs, from the inside out."""
    data = b""
    for field in (6, 5, 1) * 100 + (7,):
        size = len(data)
        length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
        data = bytes([field << 3 | 2]) + length + data
    with pytest.raises(BundleError, match="nested more than"):
        external_files(data)


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "other.bin", "link.bin"])
@pytest.mark.parametrize("graph", ["vocos", "gpt"])
def test_a_bundle_whose_weights_lie_elsewhere_is_refused(own: Path, graph: str, place: str) -> None:
    folder = own
    data = (folder / f"{graph}.onnx.data").read_bytes()
    for name in ("../secret.bin", "other.bin"):
        (folder / name).write_bytes(data)
    path = folder / f"{graph}.onnx"
    model = onnx.load(path, load_external_data=False)
    tensor = next(item for item in model.graph.initializer if item.external_data)
    for entry in tensor.external_data:
        if entry.key == "location":
            entry.value = place
    path.write_bytes(model.SerializeToString())
    Manifest.load(folder, verify=False).write(folder)
    (folder / "link.bin").symlink_to(folder / "../secret.bin")
    bundle = open_bundle(folder, threads=1)
    with pytest.raises(BundleError, match=r"weights are to lie in .*; refused"):
        bundle.session(graph)
    if graph == "gpt":
        with pytest.raises(BundleError, match="refused"):
            _ = bundle._pool
