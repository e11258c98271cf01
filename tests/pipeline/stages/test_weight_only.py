from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.errors import BundleError
from pipeline.config import Params
from pipeline.core.errors import ConfigError
from pipeline.stages import calibrate, quantize
from tests.pipeline.stages.workspaces import smoke_params, speaks_like_fp32

GRAPHS = {"gpt", "text_head", "decoder", "dvae_decode", "dvae_encode", "vocos"}
VARIANTS = ("w8", "w4")


def with_variant(variant: str, **fields: Any) -> Params:
    """The smoke parameters with some fields of ``precision.<variant>`` replaced."""
    params = smoke_params()
    changed = replace(getattr(params.precision, variant), **fields)
    return replace(params, precision=replace(params.precision, **{variant: changed}))


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("weight_only")
    calibrate.run(smoke_params(), folder)
    for variant in VARIANTS:
        quantize.run(smoke_params(), folder, variant)
    return folder


def report(workspace: Path, variant: str) -> dict[str, Any]:
    return dict(json.loads((workspace / "reports" / f"{variant}.json").read_text()))


def values(workspace: Path, variant: str, metric: str, *keys: str) -> dict[Any, Any]:
    rows = [row for row in report(workspace, variant)["rows"] if row["metric"] == metric]
    return {tuple(row[key] for key in keys): row["value"] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_quantized_weight_runs_as_matmulnbits(workspace: Path, variant: str) -> None:
    executed = values(workspace, variant, "executed_nodes", "graph", "op_type")
    quantized: dict[str, int] = {}
    for (graph, _), count in values(
        workspace, variant, "quantized_nodes", "graph", "format"
    ).items():
        quantized[graph] = quantized.get(graph, 0) + count
    assert set(quantized) == GRAPHS
    assert quantized == {
        graph: count for (graph, op), count in executed.items() if op == "MatMulNBits"
    }
    assert ("gpt", "MatMul") not in executed
    stay = values(workspace, variant, "excluded", "graph", "node", "reason")
    assert any(node == "head.istft.dft/MatMul" for _, node, _ in stay)
    text = (workspace / "reports" / f"{variant}.md").read_text()
    assert "MatMulNBits run" in text
    assert "CUDA" in text


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "closeness"), [("w8", 0.999), ("w4", 0.95)])
def test_the_bundle_speaks(workspace: Path, variant: str, closeness: float) -> None:
    small = speaks_like_fp32(workspace, variant, closeness)
    assert small.manifest.notes["weight_only"]["bits"] == int(variant[1:])


@pytest.mark.slow
def test_w4_is_smaller_than_w8(workspace: Path) -> None:
    """In the GPT, whose heads and tables keep 8 bits."""
    small, large = (values(workspace, v, "graph_size_ratio", "graph") for v in ("w4", "w8"))
    assert small[("gpt",)] < large[("gpt",)] < 0.4


@pytest.mark.slow
def test_only_gptq_records(workspace: Path) -> None:
    """And the parameter switches the algorithm; a second run gives the same bundle."""
    manifest = workspace / "bundles" / "w4" / "manifest.json"
    before = manifest.read_text()
    stages = {"gptq": 1, "rtn": 0}
    for algorithm, recorded in stages.items():
        overrides = [
            replace(entry, algorithm=algorithm) for entry in smoke_params().precision.w4.overrides
        ]
        recording = replace(smoke_params().precision.w4.recording, samples=1)
        changes = {"algorithm": algorithm, "overrides": overrides, "recording": recording}
        quantize.run(with_variant("w4", **changes), workspace, "w4")
        assert report(workspace, "w4")["context"]["samples"] == recorded
        formats = values(workspace, "w4", "quantized_nodes", "format")
        assert all(name.endswith(algorithm) for (name,) in formats)
    quantize.run(smoke_params(), workspace, "w4")
    assert manifest.read_text() == before


@pytest.mark.slow
def test_a_failure_leaves_no_bundle(tmp_path: Path, workspace: Path) -> None:
    """GPTQ without its sentences; nothing that looks finished stays behind."""
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(workspace / "bundles" / "fp32")
    (tmp_path / "build").symlink_to(workspace / "build")
    with pytest.raises(ConfigError, match="no such file"):
        quantize.run(with_variant("w4", algorithm="gptq"), tmp_path, "w4")
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["fp32"]


def test_a_missing_fp32_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="bundles/fp32"):
        quantize.run(smoke_params(), tmp_path, "w8")
    assert not list(tmp_path.iterdir())
