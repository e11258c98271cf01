from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx.voices.vectors import encode_speaker
from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.local import copied_bytes, place, take_local
from pipeline.checkpoint.record import fingerprint, hash_files
from pipeline.core.errors import CheckpointError


def config(path: Path, content: str | None = None) -> CheckpointConfig:
    return CheckpointConfig(
        name="mine", kind="local", license="?", path=str(path), fingerprint=content
    )


def test_a_folder_is_copied_and_its_hashes_are_recorded(tiny: Path, tmp_path: Path) -> None:
    seen = 0

    def progress(amount: int) -> None:
        nonlocal seen
        seen += amount

    records = take_local(config(tiny / "asset", fingerprint(tiny)), tmp_path, progress)
    assert records == hash_files(tiny) == hash_files(tmp_path)
    assert seen == copied_bytes(config(tiny))


def test_files_outside_the_layout_stay_behind(damaged: Path, tmp_path: Path) -> None:
    (damaged / "asset" / "DVAE_full.pt").write_bytes(b"x")
    (damaged / layout.TOKENIZER_CONFIG).unlink()
    target = tmp_path / "target"
    records = take_local(config(damaged), target, lambda amount: None)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.*")} == set(records)
    assert set(records) == set(layout.FILES) - {layout.TOKENIZER_CONFIG}


def test_named_voices_come_along(damaged: Path, tmp_path: Path) -> None:
    write_voice(damaged, "ann", load_dims(damaged).hidden_size)
    before = fingerprint(damaged)
    records = take_local(config(damaged), tmp_path / "target", lambda amount: None)
    assert set(records) == {*layout.FILES, "voices/ann.txt"}
    assert (tmp_path / "target" / "voices" / "ann.txt").is_file()
    write_voice(damaged, "bob", load_dims(damaged).hidden_size)
    assert fingerprint(damaged) != before


def test_a_voice_of_another_size_is_refused_before_anything_is_copied(
    damaged: Path, tmp_path: Path
) -> None:
    hidden = load_dims(damaged).hidden_size
    write_voice(damaged, "ann", hidden + 2)
    with pytest.raises(CheckpointError, match=f"voices.*{hidden + 2}.*{hidden} numbers"):
        take_local(config(damaged), tmp_path / "target", lambda amount: None)
    assert not (tmp_path / "target").exists()


def write_voice(root: Path, name: str, size: int) -> None:
    (root / layout.VOICES).mkdir(exist_ok=True)
    text = encode_speaker(np.linspace(-1, 1, size))
    (root / layout.VOICES / f"{name}.txt").write_text(text, encoding="utf-8")


def test_the_copy_is_independent_of_the_original(damaged: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    records = take_local(config(damaged), target, lambda amount: None)
    (target / layout.EMBED).chmod(0o444)
    with (damaged / layout.EMBED).open("r+b") as stream:
        stream.write(b"changed")
    assert hash_files(target) == records


def test_blocks_are_shared_where_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that Linux documents as FICLONE, here answered like a file system that can."""
    calls = []

    def clone(writer: int, request: int, reader: int) -> int:
        calls.append(request)
        return os.write(writer, os.read(reader, 100))

    (tmp_path / "a").write_bytes(b"content")
    monkeypatch.setattr(fcntl, "ioctl", clone)
    amounts: list[int] = []
    place(tmp_path / "a", tmp_path / "sub" / "b", amounts.append)
    assert calls == [0x40049409]
    assert amounts == [7]
    assert (tmp_path / "sub" / "b").read_bytes() == b"content"


def test_a_folder_that_changed_since_params_were_composed_is_refused(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"expected 0000000000000000 as params\.yaml says"):
        take_local(config(tiny, "0" * 64), tmp_path, lambda amount: None)


def test_a_damaged_folder_is_refused_before_anything_is_copied(
    damaged: Path, tmp_path: Path
) -> None:
    with (damaged / layout.VOCOS).open("r+b") as stream:
        stream.truncate(1000)
    target = tmp_path / "target"
    with pytest.raises(CheckpointError, match=r"asset/Vocos\.safetensors: .*truncated"):
        take_local(config(damaged), target, lambda amount: None)
    assert not target.exists()


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no folder"):
        take_local(config(tmp_path / "absent"), tmp_path, lambda amount: None)
