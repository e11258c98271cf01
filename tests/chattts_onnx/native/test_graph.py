from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from chattts_onnx.errors import BundleError
from chattts_onnx.native.graph import UnknownGraphError, read_graph

Fused = Callable[[str, bool], Path]


def test_reads_what_the_onnx_package_reads(fused: Fused) -> None:
    path = fused("w4-zeros", True) / "gpt.onnx"
    found = read_graph(path, path.with_suffix(".onnx.data"))
    model = onnx.load(path)
    assert found.opsets == {entry.domain: entry.version for entry in model.opset_import}
    assert [node.op.rpartition("::")[2] for node in found.nodes] == [
        node.op_type for node in model.graph.node
    ]
    for mine, theirs in zip(found.nodes, model.graph.node, strict=True):
        assert mine.inputs == tuple(theirs.input) and mine.outputs == tuple(theirs.output)
        for attribute in theirs.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            value = value.decode() if isinstance(value, bytes) else value
            assert mine.attributes[attribute.name] == value
    assert found.constants.keys() == {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(found.constants[tensor.name], numpy_helper.to_array(tensor))


def test_weights_elsewhere_or_cut_short_are_refused(fused: Fused, tmp_path: Path) -> None:
    path = fused("w8", True) / "gpt.onnx"
    data = path.with_suffix(".onnx.data")
    with pytest.raises(BundleError, match="another file"):
        read_graph(path, None)
    short = tmp_path / data.name
    short.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(BundleError, match="beyond the end"):
        read_graph(path, short)


@settings(max_examples=60)
@given(data=st.data())
def test_damage_has_no_other_error(fused: Fused, data: st.DataObject) -> None:
    path = fused("w8", True) / "gpt.onnx"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    damaged = path.with_name("damaged.onnx")
    damaged.write_bytes(content)
    with contextlib.suppress(BundleError, UnknownGraphError):
        read_graph(damaged, path.with_suffix(".onnx.data"))
