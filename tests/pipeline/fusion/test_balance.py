"""Balancing changes no output, and makes one form of all in which a function can be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from pipeline.core.errors import FusionError
from pipeline.fusion import balance as balancing
from pipeline.fusion.balance import NORMS, sites
from pipeline.fusion.run import fuse_graph
from pipeline.graphs.edit import Context
from pipeline.graphs.files import load_graph, save_graph
from pipeline.reference.load import Modules

Array = np.ndarray[Any, Any]


def outputs(path: Path, feeds: dict[str, Any], names: list[str]) -> list[Array]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(names, feeds))


def balance(model: ir.Model) -> int:
    """By a context that nothing is taken from: factors follow from the graph alone."""
    return balancing.balance(model, cast(Context, None)).count


def constants(model: ir.Model) -> dict[str, Array]:
    tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
    return {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}


def test_sites_of_a_gpt(gpt_path: Path) -> None:
    """Two norms, one value/output and one up/down pair a layer; not the norm that is an output."""
    kinds = [site.kind for site in sites(load_graph(gpt_path).graph)]
    assert sorted(kinds) == ["norm"] * 4 + ["up_down"] * 2 + ["value_output"] * 2


@pytest.mark.parametrize("grown", [False, True])
def test_outputs_stay_bit_for_bit(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., dict[str, Any]], grown: bool
) -> None:
    """All factors are powers of two."""
    model = load_graph(gpt_path)
    if grown:
        grow(model.graph, 40.0)
        save_graph(model, tmp_path / "grown.onnx")
        gpt_path, model = tmp_path / "grown.onnx", load_graph(tmp_path / "grown.onnx")
    assert balance(model) == 8
    save_graph(model, tmp_path / "balanced.onnx")
    feeds, names = make_gpt_feeds(0), ["hidden", "logits", "present.0.key"]
    for found, wanted in zip(
        outputs(tmp_path / "balanced.onnx", feeds, names),
        outputs(gpt_path, feeds, names),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_norms_with_a_bias(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., dict[str, Any]]
) -> None:
    """LayerNormalization's bias is divided like its scale."""
    model = load_graph(vocos_path)
    assert balance(model) == 1
    save_graph(model, tmp_path / "balanced.onnx")
    paths = (tmp_path / "balanced.onnx", vocos_path)
    found, wanted = (outputs(path, make_mel(1), ["waveform"])[0] for path in paths)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("strength", [40.0, 100.0, 1000.0])
def test_outliers_of_any_strength_end_alike(gpt_path: Path, strength: float) -> None:
    """What is left of a factor is less than what rounding it to a power of two leaves."""
    plain, grown = load_graph(gpt_path), load_graph(gpt_path)
    grow(grown.graph, strength)
    balance(plain)
    balance(grown)
    expected = constants(plain)
    for name, found in constants(grown).items():
        if found.dtype == np.float32 and found.any():
            ratio = np.abs(found[expected[name] != 0] / expected[name][expected[name] != 0])
            # a factor's rounding, and that of the middle one, on both sides of a weight
            assert ratio.min() > 1 / 8
            assert ratio.max() < 8


def grow(graph: ir.Graph, strength: float) -> None:
    """Some channels of each site larger by about ``strength``, and what reads them smaller."""
    random = np.random.default_rng(0)
    for site in list(sites(graph)):
        begin, end = site.columns or (0, len(array_of(site.readers[0], 1)))
        scale = np.ones(end - begin, np.float32)
        chosen = random.choice(len(scale), 3, replace=False)
        scale[chosen] = strength * random.uniform(0.5, 1.5, 3)
        index = NORMS[site.source.op_type] if site.kind == "norm" else 1
        made = array_of(site.source, index).copy()
        if site.kind == "norm":
            made *= scale
        else:
            made[:, begin:end] *= scale
        set_array(site.source, index, made)
        for node in site.readers:
            set_array(node, 1, array_of(node, 1) / scale[:, None])


def array_of(node: ir.Node, index: int) -> Array:
    value = node.inputs[index]
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def set_array(node: ir.Node, index: int, array: Array) -> None:
    value = node.inputs[index]
    assert value is not None
    value.const_value = ir.tensor(array.astype(np.float32), name=value.name)


def test_uneven_channels_are_named_by_what_reads_them(gpt_path: Path) -> None:
    """Those that were grown, of every site, and none of a graph that has none."""
    model, context = load_graph(gpt_path), cast(Context, None)
    assert balancing.balance(model, context).channels == {}
    grow(model.graph, 100)
    readers = {node.name for site in sites(model.graph) for node in site.readers}
    found = balancing.balance(model, context).channels
    assert found.keys() == readers
    assert {len(channels) for channels in found.values()} == {3}


def test_channels_of_zeros_stay(gpt_path: Path) -> None:
    """Nothing is divided by zero, on whichever side it is."""
    model = load_graph(gpt_path)
    norm, *_ = (site for site in sites(model.graph) if site.kind == "norm")
    gain, weight = array_of(norm.source, 1).copy(), array_of(norm.readers[0], 1).copy()
    gain[0], weight[1] = 0, 0
    set_array(norm.source, 1, gain)
    set_array(norm.readers[0], 1, weight)
    balance(model)
    assert all(np.isfinite(array).all() for array in constants(model).values())
    assert array_of(norm.source, 1)[0] == 0
    assert not array_of(norm.readers[0], 1)[1].any()


def test_a_shared_constant_is_not_changed_for_others(gpt_path: Path) -> None:
    """Two norms with one scale between them get one each."""
    model = load_graph(gpt_path)
    first, second, *_ = (site for site in sites(model.graph) if site.kind == "norm")
    index = NORMS[second.source.op_type]
    second.source.replace_input_with(index, first.source.inputs[1])
    balance(model)
    assert first.source.inputs[1] is not second.source.inputs[index]


def test_a_site_that_is_not_found_is_an_error(
    smoke_export: Path, smoke_modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancing, "sites", lambda graph: iter(()))
    model = ir.load(smoke_export / "vocos.onnx")
    with pytest.raises(FusionError, match=r"'balance' fired 0 times, expected 3.*balance\.py"):
        fuse_graph(model, "vocos", smoke_modules.dims, [])
