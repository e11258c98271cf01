from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import TrackingError
from pipeline.tracking.results import dvc_lock_hash, flatten, read_results


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
    assert {n: [row["metric"] for row in rows] for n, rows in results.rows.items()} == {
        "validation": ["prompts"]
    }


def test_reports_of_studies_are_no_result_of_the_run(workspace: Path) -> None:
    lock = workspace / "dvc.lock"
    outs = [{"path": f"reports/{name}.json"} for name in ("benchmark", "validation")]
    lock.write_text(yaml.safe_dump({"stages": {"benchmark": {"outs": outs}}}))
    other = '{"context": {}, "rows": [{"variant": "official", "metric": "rtf", "value": 1}]}'
    (workspace / "reports/peer.json").write_text(other)
    results = read_results(workspace)
    assert set(results.contexts) == {"benchmark", "validation"}
    assert "official" not in [variant.name for variant in results.variants]


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
