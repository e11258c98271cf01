from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark.summary import summarize
from pipeline.report.rows import make_row
from pipeline.studies import steps


def test_both_steps_of_a_variant_and_the_environments_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(steps, "_compiled", lambda wanted: True)
    for name in ("openvino", "llama"):
        python = tmp_path / f".venv-{name}" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
    found = {spec.name: (spec, command) for spec, command in steps.engines(tmp_path, ["w4"], 2, 0)}
    ours = ["native", "native, avx2", "native, 1 thread", "ort", "ort, 1 thread"]
    others = ["openvino-int8", "openvino-int4", "llama.cpp-q8", "llama.cpp-q4"]
    assert list(found) == [*(f"w4 {name}" for name in ours), *others]
    assert found["w4 ort"][1][:2] == ("env", "CHATTTS_STEP=ort")
    assert found["w4 native, avx2"][1][2] == "CHATTTS_INSTRUCTIONS=avx2"
    assert [found[f"w4 {name}"][0].threads for name in ours] == [2, 2, 1, 2, 1]
    assert found["llama.cpp-q4"][1] == (str(python), "-m", "peer.llama_step")


def test_without_the_library_onnx_runtime_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_compiled", lambda wanted: False)
    assert list(steps.forms(1)) == ["ort"]


def test_a_swept_step_takes_turns_with_others(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "CASES", ((1, 8), (2, 4)))
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "int8").symlink_to(bundle_folder)
    ort = [engine for engine in steps.engines(tmp_path, ["int8"], 1, 0) if "ort" in engine[0].name]
    samples = steps.measure(ort, steps.plan(2, 2**16), rounds=1)
    rate = [row for row in summarize(samples) if row["metric"] == "steps_per_second"]
    assert [(row["batch"], row["length"], row["swept"]) for row in rate] == [(1, 8, 2**16)]
    assert rate[0]["value"] > 0
    assert "step" in samples.descriptions["int8 ort"]
    monkeypatch.setattr(steps, "PAIR", {"batch": 1, "length": 8})
    (row,) = steps.pairs(ort, 2, rounds=1)
    assert (row["variant"], row["processes"]) == ("int8 ort", 2) and row["value"] > 0


def test_the_table_says_what_is_missing() -> None:
    place = {"batch": 1, "length": 512}
    rows = [
        make_row("w4 native", "steps_per_second", 250.0, "steps/s", **place),
        make_row("w4 native", "steps_per_second", 200.0, "steps/s", **place, swept=steps.SWEPT),
        make_row("w4 native", "steps_per_second", 190.0, "steps/s", **place, processes=2),
        make_row("w4 native", "bandwidth_share", 0.75, "", length=512),
    ]
    context = {"memory_bytes_per_second": 6e10, "load": 0.0, "machine": {"cores": 2}}
    blocks = steps.sections(rows, context)
    table = next(block for block in blocks if "| w4 native |" in block)
    line = next(line for line in table.splitlines() if line.startswith("| w4 native"))
    assert [cell.strip() for cell in line.split("|")[2:6]] == ["–", "250", "–", "–"]
    assert "200" in line and "190" in line and "0.75" in line
    assert any("official" in block and "not measured" in block for block in blocks)
