from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chattts_onnx.errors import BundleError
from pipeline.graphs.products import FLOAT, TIME
from pipeline.stages import benchmark
from tests.pipeline.stages.workspaces import smoke_params

FIELD_NAMES = {
    "prefill_seconds",
    "steps_per_second",
    "rtf",
    "first_audio_seconds",
    "sentence_seconds",
    "sentences_per_second",
    "peak_memory_bytes",
    "size_bytes",
    "throughput_steps_per_second",
    "first_audio_p50_seconds",
    "first_audio_p95_seconds",
    "first_audio_p99_seconds",
}


@pytest.mark.slow
def test_reference_and_bundle_are_timed_and_reported(
    make_workspace: Callable[[str], Path],
) -> None:
    workspace = make_workspace("benchmark")
    params = smoke_params(benchmark={"variants": ["fp32"], "threads": 1})
    benchmark.run(params, workspace)
    report = json.loads((workspace / "reports" / "benchmark.json").read_text())
    rows, context = report["rows"], report["context"]
    for engine in ("reference", "fp32"):
        metrics = {row["metric"] for row in rows if row["variant"] == engine}
        assert metrics >= FIELD_NAMES
        assert context["engines"][engine]["threads"] == 1
    assert all(row["value"] > 0 for row in rows if row["metric"] != TIME)
    forms = [row["form"] for row in rows if row["metric"] == TIME and row["value"] == 1]
    assert forms.count(FLOAT) == len(forms) > 0
    assert {row["metric"] for row in rows if row["metric"].endswith("_ratio")} == {
        f"{name}_ratio" for name in FIELD_NAMES
    }
    sizes = {row["variant"]: row["value"] for row in rows if row["metric"] == "size_bytes"}
    assert sizes["fp32"] == sum(p.stat().st_size for p in (workspace / "bundles/fp32").iterdir())
    text = (workspace / "reports" / "benchmark.md").read_text()
    assert "Random weights" in text
    assert "| engine | peak memory | sentences/s | first packet |" in text
    assert (workspace / "reports" / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_bundle_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="bundles/fp32"):
        benchmark.run(smoke_params(benchmark={"variants": ["fp32"]}), tmp_path)
    assert not list(tmp_path.iterdir())
