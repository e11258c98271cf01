"""The official checkpoint, from the Hugging Face hub or from a folder that holds its files.

``hf_hub_download`` forgets a partial file when its process ends (huggingface_hub 2), so the same
library's range-resuming ``http_get`` writes into a download folder of this project, where files lie
under their SHA-256. Finished downloads of other programs in the hub's own cache are used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    WeakFileLock,
    build_hf_headers,
)
from tqdm import tqdm

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig, PinnedFile
from pipeline.checkpoint.local import place
from pipeline.checkpoint.record import FileRecord, hash_file
from pipeline.core.errors import CheckpointError

# http_get itself retries clean disconnects; this many more calls cover resets in mid-transfer
ATTEMPTS = 3
Progress = Callable[[int], None]


def fetched_bytes(config: CheckpointConfig) -> int:
    """Bytes that :func:`take_hub` moves, for a progress bar: fetch, hash, copy."""
    return 3 * sum(pinned.bytes or 0 for pinned in config.files.values())


def take_hub(
    config: CheckpointConfig, destination: Path, progress: Progress
) -> dict[str, FileRecord]:
    """Fetch all pinned files, verify them, and copy them below ``destination``.

    Raises:
        CheckpointError: a file cannot be fetched, or is not the pinned one. A wrong file that was
            downloaded is removed; a partial one is kept, and the next call goes on from there.
    """
    folder = layout.find_root(Path(config.path).expanduser()) if config.path else None
    records = {}
    for name, pinned in config.files.items():
        if folder is None:
            source = _fetch(config, name, pinned, progress)
        else:
            source = folder / name
            records[name] = verify_file(source, name, pinned, progress)
        records.setdefault(name, FileRecord(pinned.sha256, source.stat().st_size))
        place(source, destination / name, progress)
    return records


def verify_file(path: Path, name: str, pinned: PinnedFile, progress: Progress) -> FileRecord:
    """Compare a file with what is pinned, its size first.

    Raises:
        CheckpointError: the file is missing or another one.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{name}: found no such file in {path.parent}, expected the official layout"
        )
    size = path.stat().st_size
    if pinned.bytes is not None and size != pinned.bytes:
        raise CheckpointError(
            f"{name}: found {size} bytes, expected {pinned.bytes}; {_advice(size < pinned.bytes)}"
        )
    record = hash_file(path, progress)
    if record.sha256 != pinned.sha256:
        raise CheckpointError(
            f"{name}: found sha256 {record.sha256}, expected {pinned.sha256}; {_advice(False)}"
        )
    return record


def _advice(truncated: bool) -> str:
    if truncated:
        return "the file is truncated, fetch it again"
    return "this is not the pinned file; for other weights take checkpoint=local"


def download_folder() -> Path:
    """Where downloads are kept between runs: ``chattts-onnx`` in the hub's home."""
    return Path(constants.HF_HOME).expanduser() / "chattts-onnx"


def _fetch(config: CheckpointConfig, name: str, pinned: PinnedFile, progress: Progress) -> Path:
    """Return a verified file from the download folder, the hub's cache, or the network."""
    folder = download_folder()
    finished = folder / pinned.sha256
    if finished.is_file():
        return _verified(finished, name, pinned, progress)
    cached = try_to_load_from_cache(str(config.repo), name, revision=config.revision)
    if isinstance(cached, str):
        # not ours, so a wrong one stays where it is
        verify_file(Path(cached), name, pinned, progress)
        return Path(cached)
    folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder / f"{pinned.sha256}.lock"):
        if not finished.is_file():
            partial = folder / f"{pinned.sha256}.partial"
            _download(config, name, pinned, partial, progress)
            _verified(partial, name, pinned, progress).replace(finished)
    return finished


def _verified(path: Path, name: str, pinned: PinnedFile, progress: Progress) -> Path:
    try:
        verify_file(path, name, pinned, progress)
    except CheckpointError:
        path.unlink(missing_ok=True)
        raise
    return path


def _download(
    config: CheckpointConfig, name: str, pinned: PinnedFile, partial: Path, progress: Progress
) -> None:
    """Bring ``partial`` to its full length, from where an earlier call left it."""
    url = hf_hub_url(
        str(config.repo), name, revision=config.revision, endpoint=os.environ.get("HF_ENDPOINT")
    )
    if constants.is_offline_mode():
        raise CheckpointError(
            f"{name}: found it neither in {partial.parent} nor in the hub's cache, expected it "
            "there because HF_HUB_OFFLINE is set; unset it, or set checkpoint.path to a folder "
            "that holds the files"
        )
    for attempt in range(ATTEMPTS):
        try:
            _append(url, partial, pinned, progress)
            return
        except (HTTPError, OSError) as error:
            final = isinstance(error, HfHubHTTPError) or attempt == ATTEMPTS - 1
            if final:
                raise _failure(config, name, url, error) from error


def _append(url: str, partial: Path, pinned: PinnedFile, progress: Progress) -> None:
    class Bridge(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        """Lets the hub's library advance the bar of this pipeline instead of its own."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> bool | None:
            progress(int(n or 0))
            return None

    with partial.open("ab") as stream:
        present = stream.tell()
        # without a known length there is no telling whether the partial file is already whole
        if pinned.bytes is None or present > pinned.bytes:
            stream.truncate(0)
            present = 0
        progress(present)
        http_get(
            url,
            stream,
            resume_size=present,
            headers=build_hf_headers(),
            expected_size=pinned.bytes,
            tqdm_class=Bridge,
        )


def _failure(config: CheckpointConfig, name: str, url: str, error: Exception) -> CheckpointError:
    where = f"{config.repo} at revision {config.revision}"
    if isinstance(error, EntryNotFoundError):
        return CheckpointError(
            f"{name}: found no such file in {where}, expected the official layout ({url})"
        )
    detail = f"{type(error).__name__}: {error}".splitlines()[0]
    return CheckpointError(
        f"{name}: found {detail}, expected to download it from {where} ({url}); run again to "
        "resume, or set checkpoint.path to a folder that holds the files"
    )
