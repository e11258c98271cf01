"""The whole check on the CPU provider over a very small checkpoint, and its report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ConfigError
from pipeline.quantization.cuda_bundles import attention_bundle
from pipeline.report.write import make_row
from pipeline.studies.gpu import __main__ as command
from pipeline.studies.gpu import report
from pipeline.studies.gpu.bandwidth import step_bytes, weight_bytes
from pipeline.studies.gpu.plan import CALLS, CUDA_VARIANTS, Task, builds, measurements, run_task
from pipeline.studies.gpu.runner import Outcome
from pipeline.studies.gpu.setup import QUICK, Setup
from tests.pipeline.stages.workspaces import make_workspace

VARIANT = "fp32_cuda"
SPEED = {"mode": "graph", "batch": 1, "length": 64, "checkpoint": "smoke"}


@pytest.fixture(scope="module")
def setup(
    smoke_checkpoint: Path, smoke_export: Path, tmp_path_factory: pytest.TempPathFactory
) -> Setup:
    work = tmp_path_factory.mktemp("gpu_check")
    workspace = make_workspace(work / "smoke", smoke_checkpoint, smoke_export)
    bundles = workspace / "bundles"
    attention_bundle(bundles / "fp32", bundles / VARIANT, VARIANT)
    return Setup("cpu", work, "smoke", QUICK)


def metrics(setup: Setup, call: str, **arguments: object) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in run_task(call, setup, arguments):
        found.setdefault(row["metric"], []).append(row["value"])
        assert np.isfinite(row["value"])
    return found


@pytest.mark.parametrize("mode", ["graph", "device", "host"])
def test_steps_are_timed_in_every_mode(setup: Setup, mode: str) -> None:
    found = metrics(setup, "decode", variant=VARIANT, mode=mode)
    assert len(found["steps_per_second"]) == len(QUICK.batches) * len(QUICK.lengths)
    assert all(value > 0 for values in found.values() for value in values)


def test_the_reference_is_timed_in_both_precisions(setup: Setup) -> None:
    for precision in ("fp32", "fp16"):
        found = metrics(setup, "torch_decode", precision=precision, compiled=False)
        assert min(found["steps_per_second"]) > 0


def test_speech_is_timed_from_text_to_sound(setup: Setup) -> None:
    for found in (
        metrics(setup, "speech", variant=VARIANT, mode="device"),
        metrics(setup, "torch_speech"),
    ):
        assert found["first_audio_ms"][0] <= found["sentence_ms"][0] * 3
        assert found["rtf"][0] > 0


def test_validation_judges_variants_and_reports_those_that_fail(setup: Setup) -> None:
    rows = list(run_task("validation", setup, {"variants": [VARIANT, "absent"]}))
    cosine = [r["value"] for r in rows if r["metric"] == "hidden_cosine_min"]
    assert len(cosine) == 1 and cosine[0] > 0.999
    failed = [r for r in rows if r["metric"] == "validation_failed"]
    assert [r["variant"] for r in failed] == ["absent"]


def test_placement_counts_every_graph(setup: Setup) -> None:
    rows = list(run_task("placement", setup, {"variant": VARIANT}))
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
    assert metrics(setup, "bandwidth")["copy_bandwidth"][0] > 0


def test_every_task_calls_what_exists_and_needs_what_is_built() -> None:
    built = {task.arguments["variant"] for group in builds() for task in group}
    for task in measurements("cuda"):
        assert task.call in CALLS
        assert set(task.needs) <= built
    names = [task.name for task in measurements("cuda")]
    assert len(names) == len(set(names))
    assert not [t for t in measurements("cpu") if t.arguments.get("compiled")]


def test_bytes_of_a_step_are_weights_and_cache(setup: Setup, tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.zeros((4, 6), np.float16), "w")
    table = numpy_helper.from_array(np.zeros((100, 4), np.float16), "t")
    nodes = [
        helper.make_node("Gather", ["t", "i"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, 6])],
        [weight, table],
    )
    onnx.save(helper.make_model(graph), tmp_path / "gpt.onnx")
    assert weight_bytes(tmp_path / "gpt.onnx") == 48  # the gathered table is not read whole
    model = Manifest.load(setup.bundle(VARIANT)).model
    token = 2 * model.num_hidden_layers * model.num_key_value_heads * model.head_dim * 2
    bundle = setup.bundle(VARIANT)
    assert step_bytes(bundle, 3, 10) - step_bytes(bundle, 3, 9) == 3 * token


def test_a_rehearsal_never_overwrites_a_gpu_s_report(tmp_path: Path) -> None:
    setup = Setup("cpu", tmp_path, "smoke", QUICK)
    with pytest.raises(ConfigError, match="found a rehearsal on the CPU"):
        command.check(tmp_path / "reports" / "gpu", [setup], 1)


def test_the_command_builds_nothing_that_is_there_and_writes_the_report(
    setup: Setup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One measurement in its real child process; the missing bundles fail without a budget."""
    skipped = [t for t in measurements("cpu") if t.name == "outlier"]
    assert skipped and isinstance(skipped[0], Task)
    arguments = ["--out", str(tmp_path), "--device", "cpu", "--quick", "--only", "bandwidth"]
    for name in (*CUDA_VARIANTS, "w8", "w4", "int8", "int8_cuda"):
        setup.bundle(name).mkdir(exist_ok=True)
    assert command.main([*arguments, "--work", str(setup.work), "--budget", "120"]) == 0
    assert "bandwidth" in capsys.readouterr().out
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert "rehearsal" in written["context"]
    assert [row["metric"] for row in written["rows"]] == ["copy_bandwidth"]
    assert "rehearsed on the CPU" in (tmp_path / "gpu.md").read_text()


def test_the_table_compares_with_eager_pytorch(tmp_path: Path) -> None:
    rows = [
        make_row("machine", "copy_bandwidth", 4000.0, "GB/s"),
        make_row("torch_fp32", "steps_per_second", 50.0, "steps/s", **{**SPEED, "mode": "eager"}),
        make_row("fp16", "steps_per_second", 1000.0, "steps/s", **SPEED),
        make_row("fp16", "bytes_per_second", 400.0, "GB/s", **SPEED),
    ]
    outcome = Outcome("decode:w4_fp16:graph", "stopped", 12.0)
    report.write(tmp_path, Setup("cpu", tmp_path, "smoke", QUICK), rows, [outcome])
    text = (tmp_path / "gpu.md").read_text()
    assert "| fp16 | graph | 1 | 64 | 1,000 | 20 | 0.1 |" in text
    assert "decode:w4_fp16:graph: stopped after 12 s" in text
