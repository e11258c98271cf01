"""All readers, by name."""

from __future__ import annotations

from tools.drills.fuzz import bundle_readers, checkpoint_readers, text_readers, voice_readers
from tools.drills.fuzz.reader import READERS

ALL = READERS
__all__ = ["ALL", "bundle_readers", "checkpoint_readers", "text_readers", "voice_readers"]
