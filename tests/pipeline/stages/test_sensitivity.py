from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.stages import calibrate, sensitivity
from tests.pipeline.stages.workspaces import smoke_params


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("sensitivity")
    return folder


@pytest.mark.slow
def test_every_layer_is_measured(workspace: Path) -> None:
    """All four figures of each layer, and ranges of text and code positions apart."""
    calibrate.run(smoke_params(), workspace)
    sensitivity.run(smoke_params(), workspace)
    rows = json.loads((workspace / "reports" / "sensitivity.json").read_text())["rows"]
    by_metric: dict[str, set[str]] = {}
    for row in rows:
        by_metric.setdefault(row["metric"], set()).add(row.get("layer", ""))
    layers = by_metric["effect"]
    # two GPT layers of four projections, and the head
    assert sum(layer.startswith("gpt/") for layer in layers) == 9
    for metric in ("weight_sqnr", "activation_sqnr", "accumulated_sqnr"):
        assert by_metric[metric] == layers
    phases = {row["phase"] for row in rows if row["metric"] == "channel_ratio"}
    assert phases == {"text", "code", "all"}
    gpt = [r["value"] for r in rows if r["metric"] == "effect" and r["layer"].startswith("gpt/")]
    assert all(value > 0 for value in gpt)
    text = (workspace / "reports" / "sensitivity.md").read_text()
    assert "Random weights" in text
    assert (workspace / "reports" / "sensitivity.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_refused_first(workspace: Path, tmp_path: Path) -> None:
    """Sentences that are missing, empty or too few, and a calibration that is missing."""
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(workspace / "bundles" / "fp32")
    with pytest.raises(QuantizationError, match="run the calibrate stage"):
        sensitivity.run(smoke_params(), tmp_path)
    (tmp_path / "few.jsonl").write_text("")
    params = smoke_params(search={"sentences": str(tmp_path / "few.jsonl")})
    if not (workspace / "build" / "calibration").exists():
        calibrate.run(smoke_params(), workspace)
    with pytest.raises(ConfigError, match="found 0 sentences, expected at least"):
        sensitivity.run(params, workspace)
