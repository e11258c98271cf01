"""Each repair of static INT8 by itself: what it changes in the graph, and that it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from pipeline.core.errors import ConfigError
from pipeline.graphs.layers import Layer
from pipeline.quantization.calibration.statistics import GraphStatistics, collect
from pipeline.quantization.config import Int8Config, RepairConfig
from pipeline.quantization.int8.bias_correction import mean_error
from pipeline.quantization.int8.graph import Int8Graph, quantize_graph
from pipeline.quantization.targets import TARGETS, check_machine

BASE = Int8Config(
    target="cpu-avx2",
    calibrator="minmax",
    percentile=99.99,
    op_types=["MatMul", "Gemm", "Conv"],
    exclude_names=["*istft*"],
    embedding_tables=False,
    require_fused=True,
)

Feeds = dict[str, Any]


class Bench:
    """Quantizes the small GPT and compares it with FP32 over inputs not calibrated on."""

    def __init__(self, path: Path, folder: Path, make: Callable[..., Feeds]) -> None:
        self.path, self.folder = path, folder
        self.statistics: GraphStatistics = collect(path, "gpt", [make(s) for s in range(3)], 1024)
        self.feeds = [make(seed) for seed in range(10, 14)]
        self.wanted = np.stack([self._run(path, feeds) for feeds in self.feeds])

    def _run(self, path: Path, feeds: Feeds) -> Any:
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(["logits"], feeds)[0]

    def build(self, **repairs: Any) -> tuple[Int8Graph, Any]:
        config = replace(BASE, repairs=RepairConfig(**repairs))
        target = self.folder / "int8.onnx"
        made = quantize_graph(self.path, "gpt", self.statistics, config, target)
        return made, np.stack([self._run(target, feeds) for feeds in self.feeds])

    def error(self, **repairs: Any) -> float:
        return float(np.square(self.build(**repairs)[1] - self.wanted).mean())


@pytest.fixture
def bench(tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]) -> Bench:
    return Bench(gpt_path, tmp_path, make_gpt_feeds)


def test_blocks_replace_static_products(bench: Bench) -> None:
    """Named layers run as MatMulNBits, the others as before, with less error."""
    made, _ = bench.build(blocks=["gpt/layers.*.down_proj.weight"])
    assert made.operators["MatMulNBits"] == 2
    assert made.operators["MatMulIntegerToFloat"] == 7
    assert bench.error(blocks=["*"]) < 0.5 * bench.error()


def test_wide_activations_are_two_integer_products(bench: Bench) -> None:
    """16 bits of activations leave the weights' error only; nothing runs in float."""
    made, _ = bench.build(wide_activations=["*"])
    assert made.operators["MatMulIntegerToFloat"] == 18
    assert "MatMul" not in made.operators
    assert bench.error(wide_activations=["*"]) < bench.error()


def test_wide_activations_beyond_the_calibrated_range_are_not_cut(bench: Bench) -> None:
    """What calibration saw half of has the error that it had."""
    usual = bench.error(wide_activations=["*"])
    for phases in bench.statistics.tensors.values():
        for histogram in phases.values():
            histogram.minimum /= 2
            histogram.maximum /= 2
    assert bench.error(wide_activations=["*"]) < 1.1 * usual


def test_bias_correction_takes_the_mean_error_away(bench: Bench) -> None:
    """Biases go into SkipSimplifiedLayerNormalization where one follows, else into own nodes."""
    made, corrected = bench.build(bias_correction=["*"])
    assert made.quantized_counts() == {"MatMul": 9}
    # o_proj of both layers and down_proj of the first have a norm behind them
    assert made.corrections == 6
    assert np.isfinite(corrected).all()


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_mean_error_of_a_convolution(groups: int) -> None:
    """Over constant inputs the correction is the whole error, for grouped convolutions too."""
    random = np.random.default_rng(groups)
    weight = random.standard_normal((8, 4 // groups, 3)).astype(np.float32)
    rounded = np.round(weight, 1)
    node = ir.node("Conv", [ir.Value(name="x"), ir.Value(name="w")], attributes={"group": groups})
    mean = random.standard_normal(4)
    found = mean_error(Layer(node, 0, None), weight, rounded, mean)
    inputs = mean.reshape(groups, 4 // groups)
    wanted = [((weight - rounded)[o].sum(-1) * inputs[o // (8 // groups)]).sum() for o in range(8)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


CPU = ["CPUExecutionProvider"]


def test_targets_that_this_machine_cannot_run() -> None:
    """What is missing and what to do; another machine's target is allowed when said so."""
    check_machine("cpu-avx2", [], CPU)
    check_machine("cpu-vnni", ["avx2", "avx512_vnni"], CPU)
    with pytest.raises(ConfigError, match=r"needs avx_vnni .* this machine has avx2.*foreign"):
        check_machine("cpu-vnni", ["avx2"], CPU)
    with pytest.raises(ConfigError, match="needs TensorrtExecutionProvider"):
        check_machine("tensorrt", ["avx2"], CPU)
    check_machine("tensorrt", ["avx2"], CPU, foreign=True)


def test_cuda_points_to_the_weight_only_bundle() -> None:
    """No fake quantization under the name of INT8, whatever the machine."""
    assert TARGETS["cuda"].use_instead == "w8"
    with pytest.raises(ConfigError, match=r"MatMulNBits.*Use the bundle 'w8'"):
        check_machine("cuda", ["avx2"], ["CUDAExecutionProvider"], foreign=True)
