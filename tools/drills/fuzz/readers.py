"""All readers, by name."""

from __future__ import annotations

from tools.drills.fuzz import bundle_readers, checkpoint_readers, text_readers, voice_readers
from tools.drills.fuzz.reader import Reader

ALL: dict[str, Reader] = {
    reader.name: reader
    for module in (checkpoint_readers, bundle_readers, voice_readers, text_readers)
    for reader in module.READERS
}
