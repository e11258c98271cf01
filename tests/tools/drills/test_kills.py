"""The drill that kills: its plan, and that it sees what it looks for."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.pipeline.project import git
from tools.drills.kill_rounds import kill_round
from tools.drills.kills import make_plan, promises
from tools.drills.project import DrillError, digest
from tools.drills.reference import Reference, differences, half_written, run_once, unsound
from tools.drills.serving_kills import SERVER

SECONDS = {("mini", "quick"): 2.0, ("mini", "slow"): 40.0, ("smoke", "other"): 8.0}
# A stage that writes its output in steps, in place or (as it should) in one rename.
STAGE = """
import sys, time
from pathlib import Path
name = "out.txt" if sys.argv[1] == "in-place" else ".out.txt.partial"
with Path(name).open("w") as stream:
    for number in range(20):
        print(number, file=stream, flush=True)
        time.sleep(0.05)
Path(name).replace("out.txt")
"""


def test_the_plan_is_the_seeds_and_leaves_no_stage_out() -> None:
    plan = make_plan(SECONDS, 50, seed=1)
    assert plan == make_plan(SECONDS, 50, seed=1) != make_plan(SECONDS, 50, seed=2)
    counts = Counter(plan)
    assert sum(counts.values()) == 50 and set(counts) == {*SECONDS, ("mini", SERVER)}
    assert counts["mini", SERVER] == 2
    assert counts["mini", "quick"] > counts["smoke", "other"] > counts["mini", "slow"] >= 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A DVC project of one stage that takes a second."""
    place = tmp_path / "project"
    (place / ".dvc").mkdir(parents=True)
    (place / ".dvc/config").touch()
    (place / "stage.py").write_text(STAGE)
    stage = {"cmd": "python stage.py renamed", "outs": [{"out.txt": {"cache": False}}]}
    (place / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"write": stage}}))
    (place / "params.yaml").write_text("{}\n")
    git(place, "init", "--quiet")
    return place


@pytest.mark.slow
def test_a_stage_that_renames_survives_and_one_that_does_not_is_found(folder: Path) -> None:
    reference = run_once(folder, "write")
    # The middle of the stage's second, however long DVC takes to start.
    late = itertools.repeat(1.0 - 0.6 / reference.seconds).__next__
    entry = kill_round(folder, "write", reference, late)
    assert entry["broken"] == [] and digest(folder / "out.txt") == reference.hashes["out.txt"]

    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text.replace("renamed", "in-place"))
    entry = kill_round(folder, "write", reference, late)
    assert entry["broken"] == ["after the kill out.txt is neither absent nor whole"]
    rows = promises([{**entry, "key": "1 mini write"}], 1, 1)
    assert rows[0].broken == 1 and "neither absent nor whole" in rows[0].result


@pytest.mark.slow
def test_a_stage_that_fails_by_itself_is_no_kill(folder: Path) -> None:
    reference = run_once(folder, "write")
    (folder / "stage.py").write_text("raise SystemExit(1)")
    with pytest.raises(DrillError, match="failed by itself"):
        kill_round(folder, "write", reference, lambda: 5.0)


def test_what_differs_is_said(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "whole").write_text("whole")
    (tmp_path / "reports/benchmark.json").write_text('{"a": ')
    wanted = {"whole": str(digest(tmp_path / "whole")), "reports/benchmark.json": "0" * 64}
    reference = Reference(1.0, {**wanted, "missing": "1" * 64})
    seen = {path: digest(tmp_path / path) for path in reference.hashes}
    assert half_written(tmp_path, reference, seen) == [
        "after the kill reports/benchmark.json is no JSON"
    ]
    assert differences(tmp_path, reference) == [
        "after resuming reports/benchmark.json is no JSON",
        "after resuming missing is missing",
    ]
    (tmp_path / "whole").write_text("wh")
    assert "after resuming whole has other bytes" in differences(tmp_path, reference)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.json", b"{}", ""),
        ("a.json", b"{", "is no JSON"),
        ("a.png", b"\x89PNGIEND\xaeB`\x82", ""),
        ("a.png", b"\x89PNG", "has no end"),
        ("a.md", b"# Title\n", ""),
        ("a.md", b"# Tit", "does not end with a line"),
    ],
)
def test_a_file_that_was_cut_short_is_seen(
    name: str, data: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    assert unsound(tmp_path / name) == problem
