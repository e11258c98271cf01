"""The whole check on the CPU provider over a very small checkpoint, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chattts_onnx.format.manifest import Manifest
from pipeline.benchmark.bandwidth import cache_bytes, step_bytes
from pipeline.benchmark.engine import Timing
from pipeline.benchmark.engine_torch import DTYPES
from pipeline.benchmark.harness import Samples
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.worker import open_engine
from pipeline.core.errors import ConfigError
from pipeline.quantization.fp16.cuda_bundles import attention_bundle
from pipeline.report.rows import Row, find_value, make_row, read_report
from pipeline.studies.gpu import __main__ as command
from pipeline.studies.gpu import report
from pipeline.studies.gpu.child import CALLS, handle
from pipeline.studies.gpu.plan import CUDA_VARIANTS, Check, Timed, builds, measurements
from pipeline.studies.gpu.runner import Outcome, Runner
from pipeline.studies.gpu.setup import QUICK, Setup

VARIANT = "fp32_cuda"


@pytest.fixture(scope="module")
def setup(make_workspace: Callable[[str], Path]) -> Setup:
    workspace = make_workspace("gpu_check")
    bundles = workspace / "bundles"
    attention_bundle(bundles / "fp32", bundles / VARIANT, VARIANT)
    return Setup("cpu", workspace.parent, workspace.name, QUICK)


def call(setup: Setup, what: str, /, **arguments: object) -> list[Row]:
    return handle({"call": what, "setup": setup.as_dict(), "arguments": arguments})


def metrics(setup: Setup, what: str, /, **arguments: object) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in call(setup, what, **arguments):
        found.setdefault(row["metric"], []).append(row["value"])
        assert np.isfinite(row["value"])
    return found


@pytest.mark.parametrize("mode", ["graph", "device", "host"])
def test_an_engine_is_timed_in_every_mode(setup: Setup, mode: str) -> None:
    engine = open_engine(Timed(VARIANT, mode).spec(setup))
    assert engine.decode(2, 16, 4).steps == 4
    assert engine.prefill(1, 8).seconds > 0 and engine.peak_memory() > 1e6
    assert engine.sentence("hello", 1, 30).audio_seconds > 0


def test_the_reference_is_timed_in_both_precisions(setup: Setup) -> None:
    for dtype in DTYPES:
        engine = open_engine(Timed(None, "eager", dtype).spec(setup))
        assert engine.decode(2, 16, 4).seconds > 0 and engine.prefill(1, 8).steps == 1
        assert dtype in engine.describe()["engine"]


def test_validation_judges_variants_and_reports_those_that_fail(setup: Setup) -> None:
    rows = [row for name in (VARIANT, "absent") for row in call(setup, "validation", variant=name)]
    cosine = [r["value"] for r in rows if r["metric"] == "hidden_cosine_min"]
    assert len(cosine) == 1 and cosine[0] > 0.999
    failed = [r for r in rows if r["metric"] == "validation_failed"]
    assert [r["variant"] for r in failed] == ["absent"]


def test_placement_counts_every_graph(setup: Setup) -> None:
    rows = call(setup, "placement", variant=VARIANT)
    graphs = {*Manifest.load(setup.bundle(VARIANT)).graphs, "gpt+sampler"}
    assert {r["graph"] for r in rows if r["metric"] == "memcpy_nodes"} == graphs
    nodes = {r["graph"]: r["value"] for r in rows if r["metric"] == "nodes"}
    assert nodes["gpt+sampler"] > nodes["gpt"] + 40


def test_the_sampler_and_the_norms_are_right_on_this_provider(setup: Setup) -> None:
    assert metrics(setup, "sampler", variant=VARIANT)["codes_as_numpy"] == [1.0, 1.0]
    assert max(metrics(setup, "outlier")["relative_error"]) < 1e-3


def test_arenas_profile_and_bandwidth_run(setup: Setup) -> None:
    name = "mempool_by_provider_name"
    assert metrics(setup, "arena", variant=VARIANT, name=name)["mixed_load_seconds"][0] > 0
    assert metrics(setup, "profile", variant=VARIANT, mode="graph")["wall_us"][0] > 0
    assert metrics(setup, "copy_bandwidth")["copy_bandwidth"][0] > 0


def test_every_task_calls_what_exists_and_needs_what_is_built() -> None:
    built = {task.arguments[0]["variant"] for group in builds() for task in group}
    tasks = measurements("cuda")
    for task in tasks:
        assert isinstance(task, Timed) or task.call in CALLS
        assert set(task.needs) <= built
    assert len({task.name for task in tasks}) == len(tasks)
    assert len({task.engine for task in tasks if isinstance(task, Timed)}) == 11
    assert not [task for task in measurements("cpu") if "compiled" in task.name]


def test_a_rehearsal_never_overwrites_a_gpu_s_report(tmp_path: Path) -> None:
    setup = Setup("cpu", tmp_path, "smoke", QUICK)
    with pytest.raises(ConfigError, match="found a rehearsal on the CPU"):
        command.check(tmp_path / "reports" / "gpu", [setup], 1)


def test_the_command_builds_nothing_that_is_there_and_writes_the_report(
    setup: Setup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One measurement in its real child process; the missing bundles fail without a budget."""
    skipped = [t for t in measurements("cpu") if t.name == "outlier"]
    assert skipped and isinstance(skipped[0], Check)
    arguments = ["--out", str(tmp_path), "--device", "cpu", "--quick", "--only", "bandwidth"]
    for name in (*CUDA_VARIANTS, "w8", "w4", "int8", "int8_cuda"):
        setup.bundle(name).mkdir(exist_ok=True)
    assert command.main([*arguments, "--work", str(setup.work), "--budget", "120"]) == 0
    assert "bandwidth" in capsys.readouterr().out
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert "rehearsal" in written["context"]
    assert [row["metric"] for row in written["rows"]] == ["copy_bandwidth"]
    assert "rehearsed on the CPU" in (tmp_path / "gpu.md").read_text()


def test_the_table_compares_with_eager_pytorch(setup: Setup, tmp_path: Path) -> None:
    decode = next(part for part in make_plan(QUICK.config()) if part.call == "decode")
    runner = Runner(tmp_path, 60)
    runner.rows = [make_row("machine", "copy_bandwidth", 1e-3, "GB/s")]
    taken = {"reference": [Timing(2.0, steps=4)], "fp32_cuda:graph": [Timing(0.1, steps=4)]}
    described: dict[str, dict[str, Any]] = {name: {"size_bytes": 10} for name in taken}
    runner.samples["smoke"] = Samples([decode], [taken], dict.fromkeys(taken, 5), described)
    runner.outcomes = [Outcome("benchmark:w4_fp16:graph", "stopped", 12.0)]
    report.write(tmp_path, [setup], runner)
    text = (tmp_path / "gpu.md").read_text()
    assert "| fp32_cuda:graph | 1 | 16 | 40 | 20 | " in text
    assert "| reference | 1 | 16 | 2 | – | – |" in text
    assert "benchmark:w4_fp16:graph: stopped after 12 s" in text
    rows = read_report(tmp_path / "gpu.json").rows
    moved = find_value(rows, "fp32_cuda:graph", "bandwidth_share", batch=1, length=16)
    manifest = Manifest.load(setup.bundle(VARIANT))
    graph = setup.bundle(VARIANT) / manifest.graph("gpt").file
    read = step_bytes(graph) + cache_bytes(manifest.model, 1, 16)
    assert moved == pytest.approx(40 * read / 1e6)
