from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.checkpoint import layout
from pipeline.checkpoint.record import (
    CheckpointRecord,
    combine,
    fingerprint,
    hash_files,
    read_record,
    write_record,
)
from pipeline.core.errors import CheckpointError


def test_hashes_are_those_of_hashlib(tiny: Path) -> None:
    seen = 0

    def progress(amount: int) -> None:
        nonlocal seen
        seen += amount

    records = hash_files(tiny, progress)
    assert set(records) == set(layout.FILES)
    for name, record in records.items():
        content = (tiny / name).read_bytes()
        assert record.sha256 == hashlib.sha256(content).hexdigest()
        assert record.bytes == len(content)
    assert seen == sum(record.bytes for record in records.values())


def test_the_fingerprint_follows_content_and_nothing_else(damaged: Path, tiny: Path) -> None:
    before = fingerprint(tiny)
    assert fingerprint(damaged) == fingerprint(damaged / "asset") == before
    (damaged / "asset" / "notes.txt").write_text("not part of the checkpoint")
    assert fingerprint(damaged) == before
    with (damaged / layout.EMBED).open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    changed = fingerprint(damaged)
    assert changed != before
    (damaged / layout.SPECIAL_TOKENS).unlink()
    assert fingerprint(damaged) not in (before, changed)


def test_a_fingerprint_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="official layout"):
        fingerprint(tmp_path)


def test_a_record_survives_a_round_trip(tiny: Path, tmp_path: Path) -> None:
    files = hash_files(tiny)
    record = CheckpointRecord("n", "seeded", "seed:1", combine(files), "none", files)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"files": {"a": 3}}', "[" * 100_000])
def test_an_unreadable_record_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / layout.RECORD).write_text(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: found no readable record"):
        read_record(tmp_path)
