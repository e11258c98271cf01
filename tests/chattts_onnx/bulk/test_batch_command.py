from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chattts_onnx import cli
from tests.chattts_onnx.bulk.corpora import manifest, rows, write_jsonl


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "c.jsonl", [*rows(5), {"text": ""}])


def words(corpus: Path, bundle: Path, *more: str) -> list[str]:
    output = corpus.parent / "out"
    fixed = ["batch", str(corpus), "-o", str(output), "-b", str(bundle)]
    return [*fixed, "--threads", "1", "--max-new-tokens", "8", "--shard-lines", "2", *more]


def test_speaks_and_resumes(
    corpus: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(corpus, bundle_path, "--voice", "anna", "--no-normalize")) == 1
    told = capsys.readouterr().err
    assert "6 lines, 1 failed" in told and "x real time" in told and "slots in use" in told
    found = manifest(corpus.parent / "out")
    assert [entry["status"] for entry in found] == ["ok"] * 5 + ["error"]
    summary = json.loads((corpus.parent / "out" / "summary.json").read_text())
    assert summary["run_lines"] == 6 and summary["wall_seconds"] > 0
    assert cli.main(words(corpus, bundle_path, "--voice", "anna", "--no-normalize")) == 1
    assert "this run: 0 lines" in capsys.readouterr().err
    assert cli.main(words(corpus, bundle_path, "--voice", "7", "--no-normalize")) == 2
    assert "defaults.voice is 'anna', now '7'" in capsys.readouterr().err


def test_dry_run_and_strict_speak_nothing(
    corpus: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(corpus, bundle_path, "--dry-run")) == 1
    told = capsys.readouterr().out
    assert "6 lines in 3 shards, 0 of them finished" in told
    assert "1 lines can't be spoken" in told and "line 5: LineError" in told
    assert cli.main(words(corpus, bundle_path, "--strict")) == 2
    assert "1 of 6 lines can't be spoken" in capsys.readouterr().err
    assert not (corpus.parent / "out").exists()
    write_jsonl(corpus, rows(4))
    assert cli.main(words(corpus, bundle_path, "--dry-run", "--strict")) == 0
    assert cli.main(words(corpus, bundle_path, "--strict")) == 0


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (["--column", "text"], "expected OURS=THEIRS"),
        (["--shard-lines", "0"], "shard_lines is 0"),
        (["--slots", "0"], "slots is 0"),
        (["--seed", "-1"], "seed is -1"),
    ],
)
def test_wrong_arguments_are_told(
    corpus: Path,
    bundle_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    found: str,
) -> None:
    assert cli.main(words(corpus, bundle_path, *more)) == 2
    assert found in capsys.readouterr().err


def test_extras_are_named_where_they_lack(
    corpus: Path,
    bundle_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ray", "soundfile", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    for more, extra in (["--ray", "local"], "[ray]"), (["--format", "flac"], "[audio]"):
        assert cli.main(words(corpus, bundle_path, *more)) == 2
        assert f"chattts-onnx{extra}" in capsys.readouterr().err
    parquet = corpus.with_suffix(".parquet")
    parquet.write_bytes(b"PAR1")
    assert cli.main(words(parquet, bundle_path)) == 2
    assert "chattts-onnx[bulk]" in capsys.readouterr().err
