"""`kill -9` at any point: what was finished stays as it is, nothing is lost, doubled or altered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chattts_onnx.bulk.corpora import contents, manifest, rows, write_jsonl

LINES, ROUNDS = 14, 10


def run_until(event: int, corpus: Path, bundle: Path, output: Path) -> tuple[int, str]:
    """Exit status and output of a run that is killed at the given event (0: not at all)."""
    module = "tests.chattts_onnx.bulk.killed"
    words = [sys.executable, "-m", module, str(corpus), str(bundle), str(output), str(event)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout


def finished(output: Path) -> dict[str, int]:
    """Shards that are committed, with the time each was written."""
    parts = [path for path in output.glob("shard-*.jsonl") if path.with_suffix(".tar").exists()]
    return {p.stem: p.with_suffix(".tar").stat().st_mtime_ns for p in parts}


@pytest.mark.slow
def test_killed_at_random_points(bundle_path: Path, tmp_path: Path) -> None:
    lines = [*rows(LINES)[:5], "not json", *rows(LINES)[5:]]
    corpus = write_jsonl(tmp_path / "c.jsonl", lines)
    whole, output = tmp_path / "whole", tmp_path / "out"
    _, printed = run_until(0, corpus, bundle_path, whole)
    events = int(printed)
    assert events > 4 * LINES
    points = random.Random(20240527)
    kills = 0
    for _ in range(ROUNDS):
        before = finished(output) if output.exists() else {}
        # Early events come before any line is done; later ones anywhere in what is left.
        event = points.choice([points.randint(1, 8), points.randint(8, events // 3)])
        status, _ = run_until(event, corpus, bundle_path, output)
        kills += status != 0
        after = finished(output)
        assert {name: after[name] for name in before} == before
        if status == 0:
            break
    assert kills >= 3
    before = finished(output)
    assert run_until(0, corpus, bundle_path, output)[0] == 0
    assert {name: finished(output)[name] for name in before} == before
    assert [entry["line"] for entry in manifest(output)] == list(range(LINES + 1))
    assert contents(output) == contents(whole)
