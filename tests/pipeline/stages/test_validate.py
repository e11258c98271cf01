from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chattts_onnx.errors import BundleError
from pipeline.core.errors import ConfigError, GateError
from pipeline.report.gates import GateConfig
from pipeline.stages import validate
from tests.pipeline.stages.workspaces import add_noise, smoke_params

EXACT = [
    GateConfig("kl_divergence", "max", 1e-4, {"head": "all"}),
    GateConfig("mel_l1", "max", 1e-3, {"component": "decoder+vocos"}),
]


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("validate")
    add_noise(folder / "bundles/fp32", folder / "bundles/int8", "gpt", 0.3, "int8")
    return folder


@pytest.mark.slow
def test_a_good_variant_passes_and_is_reported(workspace: Path) -> None:
    params = smoke_params(validate={"variants": ["fp32"], "gates": {"fp32": EXACT}, "samples": 2})
    validate.run(params, workspace)
    report = json.loads((workspace / "reports" / "validation.json").read_text())
    assert {row["variant"] for row in report["rows"]} == {"reference", "fp32"}
    context = report["context"]
    assert context["checkpoint"]["weights"] == "random"
    assert context["provider"] == ["CPUExecutionProvider"]
    assert context["placement"]["fp32"]["nodes"]["vocos"]["CPUExecutionProvider"]["Conv"] > 2
    assert [gate["verdict"] for gate in context["gates"]] == ["kept", "kept"]
    text = (workspace / "reports" / "validation.md").read_text()
    assert "Random weights" in text
    assert "kept" in text
    assert (workspace / "reports" / "validation.png").read_bytes().startswith(b"\x89PNG")
    for name in ("reference", "fp32"):
        wavs = sorted(path.name for path in (workspace / "samples" / name).iterdir())
        assert wavs == ["00.wav", "01.wav"]
    identical = [
        row
        for row in report["rows"]
        if (row["variant"], row["metric"]) == ("fp32", "identical_codes")
    ]
    assert identical[0]["value"] == 1.0


@pytest.mark.slow
def test_a_damaged_variant_stops_the_stage_after_the_report(workspace: Path) -> None:
    gates = {"fp32": EXACT, "int8": EXACT}
    params = smoke_params(validate={"variants": ["fp32", "int8"], "gates": gates})
    with pytest.raises(GateError) as caught:
        validate.run(params, workspace)
    report = json.loads((workspace / "reports" / "validation.json").read_text())
    (value,) = [
        row["value"]
        for row in report["rows"]
        if (row["variant"], row["metric"], row.get("head")) == ("int8", "kl_divergence", "all")
    ]
    assert value > 1e-4
    expected = f"int8: kl_divergence (head all) is {value:.6g}, expected ≤ 0.0001"
    assert expected in str(caught.value)
    assert "fp32" not in str(caught.value)
    assert "**broken**" in (workspace / "reports" / "validation.md").read_text()
    assert (workspace / "samples" / "int8").is_dir()


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"fp8": EXACT}, "unknown variant 'fp8'"),
        ({"fp32": [GateConfig("mos", "min", 4.0, {})]}, "unknown metric 'mos'"),
    ],
)
def test_unknown_gates_are_refused_before_any_work(
    tmp_path: Path, gates: dict[str, list[GateConfig]], message: str
) -> None:
    params = smoke_params(validate={"variants": ["fp32"], "gates": gates})
    with pytest.raises(ConfigError, match=message):
        validate.run(params, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_bundle_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "calibration_data").symlink_to(
        Path(__file__).resolve().parents[3] / "calibration_data"
    )
    params = smoke_params(validate={"variants": ["fp32"], "gates": {}})
    with pytest.raises(BundleError, match="bundles/fp32"):
        validate.run(params, tmp_path)
    assert not (tmp_path / "reports").exists()
