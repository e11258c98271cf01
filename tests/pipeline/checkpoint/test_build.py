from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.checkpoint import layout
from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import AbilitiesConfig, CheckpointConfig, SeededConfig
from pipeline.checkpoint.record import combine, hash_files, read_record
from pipeline.core.errors import CheckpointError, ConfigError

SEED = 11


def seeded(config: SeededConfig) -> CheckpointConfig:
    return CheckpointConfig(name="small", kind="seeded", license="none", seeded=config)


def local(path: Path) -> CheckpointConfig:
    return CheckpointConfig(name="mine", kind="local", license="theirs", path=str(path))


def test_a_seeded_checkpoint(tiny: Path, tiny_config: SeededConfig, tmp_path: Path) -> None:
    record = build(seeded(tiny_config), SEED, tmp_path / "c")
    assert hash_files(tmp_path / "c") == record.files == hash_files(tiny)
    assert (record.source, record.revision) == (f"seed:{SEED}", combine(record.files))
    assert read_record(tmp_path / "c") == record


def test_a_local_checkpoint(tiny: Path, tmp_path: Path) -> None:
    build(local(tiny / "asset"), 0, tmp_path / "c")
    value = json.loads((tmp_path / "c" / layout.RECORD).read_text())
    expected = ["name", "kind", "source", "revision", "license", "files"]
    expected += ["sentences_apart", "abilities"]
    assert list(value) == expected
    assert value["source"] == f"folder:{tiny.name}"
    assert set(value["files"]) == set(layout.FILES)
    assert str(tiny) not in json.dumps(value)


def test_a_hub_checkpoint(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    record = build(hub_config, 0, tmp_path / "c")
    assert record.source == f"hub:{hub_config.repo}"
    assert record.revision == hub_config.revision
    assert record.files == hash_files(tiny) == hash_files(tmp_path / "c")


def test_a_failure_leaves_nothing_and_keeps_what_was_there(
    damaged: Path, tiny: Path, tmp_path: Path
) -> None:
    target = tmp_path / "build" / "checkpoint"
    with (damaged / layout.GPT).open("r+b") as stream:
        stream.truncate(5000)
    with pytest.raises(CheckpointError, match="truncated"):
        build(local(damaged), 0, target)
    assert list(target.parent.iterdir()) == []
    build(local(tiny), 0, target)
    before = hash_files(target)
    with pytest.raises(CheckpointError, match="truncated"):
        build(local(damaged), 0, target)
    assert list(target.parent.iterdir()) == [target]
    assert hash_files(target) == before


def test_a_hub_checkpoint_that_is_not_in_the_layout_is_refused(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path
) -> None:
    files = {name: file for name, file in hub_config.files.items() if name != layout.DVAE}
    with pytest.raises(CheckpointError, match=r"asset/DVAE\.safetensors: found no such file"):
        build(dataclasses.replace(hub_config, files=files), 0, tmp_path / "b" / "c")
    assert list((tmp_path / "b").iterdir()) == []


def test_abilities_are_of_those_that_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"abilities\.options: found sing, expected some of breaks"
    ):
        AbilitiesConfig("Songs.", ["en"], ["sing"])
    with pytest.raises(ConfigError, match=r"abilities\.languages: found fr"):
        AbilitiesConfig("Songs.", ["fr"], [])
