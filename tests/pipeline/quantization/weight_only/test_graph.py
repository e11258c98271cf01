"""Weight-only graphs: what is replaced, what really runs, and how close the results are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.quantization.config import RecordingConfig
from pipeline.quantization.weight_only import graph as weight_only
from pipeline.quantization.weight_only import hessians as hessian_module
from pipeline.quantization.weight_only.config import LayerFormat, WeightOnlyConfig
from pipeline.quantization.weight_only.graph import WeightOnlyGraph, quantize_weights
from pipeline.quantization.weight_only.hessians import grouped, hessians

CONFIG = WeightOnlyConfig(
    bits=4,
    block_size=32,
    symmetric=True,
    algorithm="rtn",
    scale_search=8,
    damping=0.01,
    accuracy_level=4,
    overrides=[],
    exclude_names=["*istft*"],
    embedding_tables=True,
    recording=RecordingConfig("sentences.jsonl", 1, 1, 1),
)

Feeds = dict[str, Any]


def no_data() -> Iterator[Feeds]:
    raise AssertionError("round to nearest asked for data")


def quantize(
    source: Path, graph: str, config: WeightOnlyConfig, destination: Path, batches: Any = no_data
) -> WeightOnlyGraph:
    return quantize_weights(source, graph, config, batches, destination)


def run(path: Path, feeds: Feeds, outputs: list[str]) -> list[Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(outputs, feeds)


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


@pytest.mark.parametrize(("bits", "closeness"), [(8, 0.9995), (4, 0.95)])
@pytest.mark.parametrize("algorithm", ["rtn", "gptq"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gpt_stays_close(
    tmp_path: Path,
    gpt_path: Path,
    make_gpt_feeds: Callable[..., Feeds],
    bits: int,
    closeness: float,
    algorithm: str,
    symmetric: bool,
) -> None:
    """All projections and heads become MatMulNBits, on prompts not calibrated on too."""
    config = replace(CONFIG, bits=bits, algorithm=algorithm, symmetric=symmetric)
    batches = (lambda: (make_gpt_feeds(seed) for seed in range(8))) if algorithm == "gptq" else None
    result = quantize(gpt_path, "gpt", config, tmp_path / "gpt.onnx", batches or no_data)
    assert len(result.quantized) == result.operators["MatMulNBits"] == 9
    assert "MatMul" not in result.operators
    assert result.embeddings == ["emb_text", "emb_code"]
    assert [entry.weight for entry in result.quantized][-1] == "head_code.weight"
    feeds = make_gpt_feeds(70)
    names = ["hidden", "logits", "present.1.value"]
    for found, wanted in zip(
        run(tmp_path / "gpt.onnx", feeds, names), run(gpt_path, feeds, names), strict=True
    ):
        assert cosine(found, wanted) > closeness
    onnx.checker.check_model(tmp_path / "gpt.onnx")


def test_overrides_by_graph_and_weight(tmp_path: Path, vocos_path: Path) -> None:
    """The first match counts, other graphs' patterns do not; Conv, Gemm and ISTFT stay float."""
    wide = LayerFormat(["vocos/pwconv2*"], 8, 64, False, "rtn")
    other = LayerFormat(["decoder/*", "vocos/pwconv2*"], 4, 16, True, "rtn")
    config = replace(CONFIG, overrides=[wide, other])
    result = quantize(vocos_path, "vocos", config, tmp_path / "vocos.onnx")
    assert result.formats() == {
        "4 bit, block 32, rtn": 1,
        "8 bit, block 64, zero points, rtn": 1,
    }
    assert [entry.shape for entry in result.quantized] == [(64, 192), (192, 64)]
    low, high = (entry.sqnr_db for entry in result.quantized)
    assert 15 < low < 30 < 40 < high < 60
    assert {entry.node for entry in result.excluded} == {"embed", "dwconv", "head", "transform"}


def test_vocos_stays_close(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds]
) -> None:
    config = replace(CONFIG, bits=8)
    quantize(vocos_path, "vocos", config, tmp_path / "vocos.onnx")
    feeds = make_mel(5)
    found = run(tmp_path / "vocos.onnx", feeds, ["waveform"])[0]
    assert cosine(found, run(vocos_path, feeds, ["waveform"])[0]) > 0.999


def test_sizes_fall_as_the_formats_say(tmp_path: Path, gpt_path: Path) -> None:
    """Bits and a scale of 16 bits a block; nothing of the float weights is left behind."""
    result = quantize(gpt_path, "gpt", CONFIG, tmp_path / "gpt.onnx")
    weights = sum(width * outputs for entry in result.quantized for width, outputs in [entry.shape])
    stored = onnx.load(tmp_path / "gpt.onnx").graph.initializer
    bytes_of = {tensor.name: onnx.numpy_helper.to_array(tensor).nbytes for tensor in stored}
    for entry in result.quantized:
        assert entry.weight not in bytes_of
    assert sum(n for name, n in bytes_of.items() if name.endswith("/blocks")) == weights // 2
    assert sum(n for name, n in bytes_of.items() if name.endswith("/scales")) == weights // 32 * 2


@pytest.mark.parametrize("algorithm", ["rtn", "gptq"])
def test_same_bytes_twice(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds], algorithm: str
) -> None:
    """The stage's output depends on its inputs only, as DVC takes for granted."""
    config = replace(CONFIG, algorithm=algorithm)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        target = tmp_path / name / "gpt.onnx"
        quantize(gpt_path, "gpt", config, target, lambda: [make_gpt_feeds(1)])
    for file in ("gpt.onnx", "gpt.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_hessians_in_groups_are_those_of_one_run(
    gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """A small budget means more runs of the graph, never other sums."""
    result_of = {"first_norm_out": 64, "layers.0.post_norm_out": 64, "final_norm_out": 64}
    result_of |= {"hidden": result_of.pop("final_norm_out")}
    runs = []

    def batches() -> Iterator[Feeds]:
        runs.append(1)
        return (make_gpt_feeds(seed) for seed in range(2))

    (whole,) = hessians(gpt_path, result_of, batches)
    parts = list(hessians(gpt_path, result_of, batches, budget=2 * 4 * 64 * 64))
    assert [len(part) for part in parts] == [2, 1]
    assert len(runs) == 3
    for part in parts:
        for name, sums in part.items():
            assert (sums == whole[name]).all()
            assert np.linalg.eigvalsh(sums.astype(np.float64)).min() > -1e-2
    hidden = [run(gpt_path, make_gpt_feeds(seed), ["hidden"])[0] for seed in range(2)]
    rows = np.concatenate(hidden)
    assert np.abs(rows.T @ rows - whole["hidden"]).max() < 1e-3


def test_a_hessian_larger_than_the_budget_gets_a_group_of_its_own() -> None:
    widths = {"a": 10, "b": 100, "c": 10}
    assert grouped(widths, 1000) == [["a"], ["b"], ["c"]]
    assert grouped(widths, hessian_module.BUDGET_BYTES) == [["a", "b", "c"]]


def test_a_layer_that_does_not_run_as_matmulnbits_is_named(
    tmp_path: Path, gpt_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_only, "optimized_operators", lambda path: {"MatMulNBits": 8})
    with pytest.raises(QuantizationError, match="found 8 MatMulNBits after optimization"):
        quantize(gpt_path, "gpt", CONFIG, tmp_path / "gpt.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 3}, "bits: found 3, expected one of 4, 8"),
        ({"block_size": 48}, "block_size: found 48"),
        ({"algorithm": "awq"}, "algorithm: found 'awq', expected one of rtn, gptq"),
        ({"accuracy_level": 2}, "accuracy_level: found 2"),
        ({"scale_search": -1}, "scale_search: found -1"),
        ({"damping": 0.0}, r"damping: found 0\.0"),
    ],
)
def test_values_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)
