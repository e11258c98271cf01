"""What a batch job leaves: a zip of its lines' audio with a manifest, packed when all are done."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..bulk.shards import Entry, OpenShard, Store
from .upload import Upload, UploadLine

ARCHIVE = "speech.zip"
MANIFEST = "manifest.json"
_KEPT = ("seconds", "sample_rate", "variant", "voice", "seed", "takes", "sentences")


class ArchiveStore(Store):
    """The one shard of an :class:`Upload`, as the zip that clients fetch."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload)
        self.upload = upload

    def target(self, shard: int) -> Path:
        """The archive."""
        return self.upload.output / ARCHIVE

    def open(self, shard: int) -> OpenShard:
        """The lines while they come in."""
        return _Archive(self, shard)


class _Archive(OpenShard):
    def __init__(self, store: ArchiveStore, shard: int) -> None:
        super().__init__(store, shard)
        self._upload = store.upload

    def pack(self, scratch: Path, entries: list[Entry]) -> None:
        """Move the audio into the zip, file by file, so that the disk holds it once."""
        scratch.touch(mode=0o600)
        form = self._upload.settings.format
        # Not strict: a machine whose clock says 1970 works too.
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for entry, line in self._lines(entries):
                if entry["file"]:
                    audio = self.folder / entry["file"]
                    archive.write(audio, line.file_name(form))
                    audio.unlink()
            # An entry of its own takes no time from the clock.
            manifest = zipfile.ZipInfo(MANIFEST)
            manifest.external_attr = 0o600 << 16
            with archive.open(manifest, "w") as stream:
                start = f'{{"format": {json.dumps(form)}, "lines": ['
                for entry, line in self._lines(entries):
                    shown = json.dumps(_shown(entry, line, form), ensure_ascii=False)
                    stream.write((start + shown).encode("utf-8", "backslashreplace"))
                    start = ", "
                stream.write(b"]}\n")

    def _lines(self, entries: list[Entry]) -> Iterator[tuple[Entry, UploadLine]]:
        return zip(entries, self._upload.lines(), strict=True)


def _shown(entry: Entry, line: UploadLine, form: str) -> dict[str, Any]:
    found: dict[str, Any] = {"number": line.number + 1, "id": line.id, "text": line.text}
    if entry["error"] is not None:
        return {**found, "error": entry["error"]}
    return {**found, "file": line.file_name(form), **{name: entry[name] for name in _KEPT}}
