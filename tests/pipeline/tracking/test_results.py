from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import TrackingError
from pipeline.tracking.results import dvc_lock_hash, flatten, git_commit, read_results


def test_rows_and_files_go_to_their_variant(workspace: Path) -> None:
    results = read_results(workspace)
    assert [variant.name for variant in results.variants] == ["fp32", "int8", "pytorch"]
    int8 = results.variants[1]
    assert [row["metric"] for row in int8.rows] == [
        "steps_per_second",
        "size_bytes",
        "top1_agreement",
    ]
    assert int8.manifest == workspace / "bundles/int8/manifest.json"
    assert int8.samples == [workspace / "samples/int8/00.wav"]
    assert results.variants[2].manifest is None
    assert [row["metric"] for row in results.rows] == ["prompts"]


def test_content_hash_follows_every_recorded_file(workspace: Path) -> None:
    hashes = {read_results(workspace).content_hash}
    for path in ("params.yaml", "reports/benchmark.png", "samples/fp32/00.wav"):
        with (workspace / path).open("ab") as stream:
            stream.write(b"\n")
        hashes.add(read_results(workspace).content_hash)
    assert len(hashes) == 4


def test_lock_hash_leaves_out_the_stage_that_records(
    workspace: Path, edit_lock: Callable[[Path, str, str], None]
) -> None:
    lock = workspace / "dvc.lock"
    before = dvc_lock_hash(lock)
    edit_lock(workspace, "track", "other")
    assert dvc_lock_hash(lock) == before
    edit_lock(workspace, "benchmark", "other")
    assert dvc_lock_hash(lock) != before
    assert dvc_lock_hash(workspace / "no.lock") == "none"


def test_git_commit_says_whether_files_differ(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "a").write_text("1")
    for command in (["init", "-q"], ["add", "a"], [*identity, "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == f"{clean}-dirty"


def test_flatten_keeps_types_readable() -> None:
    values = {"a": {"b": 1, "c": {"d": "x"}}, "e": [1, "数"], "f": None, "g": {}, "h": True}
    assert flatten(values) == {
        "a.b": "1",
        "a.c.d": "x",
        "e": '[1, "数"]',
        "f": "null",
        "g": "{}",
        "h": "true",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [("{", "no report"), ("[]", "no report"), ('{"rows": [{"metric": "rtf"}]}', "has no value")],
)
def test_a_malformed_report_is_refused(workspace: Path, text: str, found: str) -> None:
    (workspace / "reports/fusion.json").write_text(text)
    with pytest.raises(TrackingError, match=rf"fusion\.json.*{found}"):
        read_results(workspace)


def test_a_report_without_rows_is_only_attached(workspace: Path) -> None:
    before = read_results(workspace)
    path = workspace / "reports/fusion.json"
    path.write_text('{"rules": []}')
    after = read_results(workspace)
    assert after.variants == before.variants
    assert path in after.files


def test_missing_reports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="found no reports"):
        read_results(tmp_path)
