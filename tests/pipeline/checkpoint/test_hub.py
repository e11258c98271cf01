from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants, hf_hub_download

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig, PinnedFile
from pipeline.checkpoint.hub import download_folder, take_hub
from pipeline.checkpoint.record import hash_files
from pipeline.core.errors import CheckpointError

BIG = layout.EMBED


def take(config: CheckpointConfig, target: Path) -> int:
    """Fetch and return the bytes reported as progress."""
    seen = 0

    def progress(amount: int) -> None:
        nonlocal seen
        seen += amount

    take_hub(config, target, progress)
    return seen


def repin(config: CheckpointConfig, name: str, **changes: Any) -> CheckpointConfig:
    pinned = dataclasses.replace(config.files[name], **changes)
    return dataclasses.replace(config, files=config.files | {name: pinned})


def leftovers() -> list[str]:
    folder = download_folder()
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if not name.endswith(".lock"))


def test_everything_is_downloaded_and_verified(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    seen = take(hub_config, target)
    assert hash_files(target) == hash_files(tiny)
    # fetched, hashed, copied
    assert seen == 3 * sum(file.bytes for file in hash_files(tiny).values())
    assert leftovers() == sorted(file.sha256 for file in hub_config.files.values())


def test_a_second_call_needs_no_network(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    take(hub_config, tmp_path / "first")
    hub.requests.clear()
    take(hub_config, tmp_path / "second")
    assert hub.requests == []
    assert hash_files(tmp_path / "second") == hash_files(tiny)


def test_a_dropped_connection_is_resumed_within_the_call(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    hub.cuts[BIG] = [100_000]
    take(hub_config, tmp_path / "target")
    assert hub.ranges(BIG) == [None, "bytes=100000-"]
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_a_killed_download_is_resumed_by_the_next_call(
    hub: Any,
    hub_config: CheckpointConfig,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a process that dies leaves behind is a partial file of any length."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    hub.cuts[BIG] = [70_000]
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.time.sleep", die)
        with pytest.raises(KeyboardInterrupt):
            take(hub_config, tmp_path / "target")
    partial = download_folder() / f"{hub_config.files[BIG].sha256}.partial"
    assert partial.stat().st_size == 70_000
    hub.requests.clear()
    take(hub_config, tmp_path / "target")
    assert hub.ranges(BIG) == ["bytes=70000-"]
    assert hash_files(tmp_path / "target") == hash_files(tiny)
    assert not partial.exists()


@pytest.mark.parametrize("extra", [0, 50])
def test_a_partial_file_that_is_whole_or_too_long_is_handled(
    extra: int, hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    partial = download_folder() / f"{hub_config.files[BIG].sha256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes((tiny / BIG).read_bytes() + bytes(extra))
    take(hub_config, tmp_path / "target")
    assert hub.ranges(BIG) == ([None] if extra else [])
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_a_wrong_hash_is_refused_and_the_file_removed(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path
) -> None:
    wrong = repin(hub_config, BIG, sha256="0" * 64)
    found = hub_config.files[BIG].sha256
    with pytest.raises(
        CheckpointError, match=rf"{BIG}: found sha256 {found}, expected 0000"
    ) as error:
        take(wrong, tmp_path / "target")
    assert "checkpoint=local" in str(error.value)
    assert not any(name.startswith("0000") for name in leftovers())


def test_a_wrong_partial_file_is_removed_so_that_the_next_call_succeeds(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    partial = download_folder() / f"{hub_config.files[BIG].sha256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    with pytest.raises(CheckpointError, match="found sha256"):
        take(hub_config, tmp_path / "target")
    take(hub_config, tmp_path / "target")
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_a_wrong_size_is_refused(hub: Any, hub_config: CheckpointConfig, tmp_path: Path) -> None:
    size = hub_config.files[BIG].bytes
    with pytest.raises(CheckpointError, match=rf"{BIG}: .*{size}"):
        take(repin(hub_config, BIG, bytes=10**9), tmp_path / "target")


def test_a_damaged_finished_download_is_removed(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    take(hub_config, tmp_path / "target")
    (download_folder() / hub_config.files[BIG].sha256).write_bytes(b"short")
    with pytest.raises(CheckpointError, match=r"found 5 bytes, expected .*truncated"):
        take(hub_config, tmp_path / "target")
    take(hub_config, tmp_path / "target")
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_a_file_that_the_hub_lacks_is_named(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path
) -> None:
    hub.missing.add(layout.VOCOS)
    with pytest.raises(CheckpointError, match=r"^asset/Vocos\.safetensors: found no such file in "):
        take(hub_config, tmp_path / "target")


def test_a_hub_that_keeps_dropping_gives_one_message(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.cuts[BIG] = [0] * 100
    with pytest.raises(CheckpointError, match=rf"{BIG}: found .*Error.* run again to resume"):
        take(hub_config, tmp_path / "target")


def test_an_unreachable_hub_gives_one_message(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"found ConnectError.*checkpoint\.path") as error:
        take(hub_config, tmp_path / "target")
    assert "\n" not in str(error.value)


def test_the_hubs_own_cache_is_used(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    """Another program that downloaded the same revision has left the files there."""
    for name in hub_config.files:
        assert hub_config.repo is not None
        hf_hub_download(
            hub_config.repo,
            name,
            revision=hub_config.revision,
            endpoint=hub.url,
            cache_dir=constants.HF_HUB_CACHE,
        )
    hub.requests.clear()
    take(hub_config, tmp_path / "target")
    assert hub.requests == []
    assert leftovers() == []
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_offline_mode_asks_nobody(
    hub: Any, hub_config: CheckpointConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        take(hub_config, tmp_path / "target")
    assert hub.requests == []


def test_a_folder_with_the_files_needs_no_hub(
    hub: Any, hub_config: CheckpointConfig, tiny: Path, tmp_path: Path
) -> None:
    offline = dataclasses.replace(hub_config, path=str(tiny))
    take(offline, tmp_path / "target")
    assert hub.requests == []
    assert hash_files(tmp_path / "target") == hash_files(tiny)


def test_a_folder_with_other_files_is_refused_and_left_alone(
    hub_config: CheckpointConfig, damaged: Path, tmp_path: Path
) -> None:
    with (damaged / BIG).open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"abcd")
    offline = dataclasses.replace(hub_config, path=str(damaged))
    with pytest.raises(CheckpointError, match=rf"{BIG}: found sha256"):
        take(offline, tmp_path / "target")
    assert (damaged / BIG).is_file()
    (damaged / BIG).unlink()
    with pytest.raises(CheckpointError, match=rf"{BIG}: found no such file in"):
        take(offline, tmp_path / "target")


def test_a_pinned_pickle_is_never_parsed(
    hub_config: CheckpointConfig, damaged: Path, tmp_path: Path
) -> None:
    """Hashes are compared before any file is opened as what it claims to be."""
    shutil.copy(damaged / layout.TOKENIZER, damaged / BIG)
    offline = dataclasses.replace(
        hub_config,
        path=str(damaged),
        files=hub_config.files | {BIG: PinnedFile("1" * 64)},
    )
    with pytest.raises(CheckpointError, match="found sha256"):
        take(offline, tmp_path / "target")
