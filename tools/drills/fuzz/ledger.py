"""What a worker did, in memory shared with its parent, which reads it when the worker is dead."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tools.drills.fuzz.mutations import MAX_BYTES

_FIELDS = ("tried", "refused", "microseconds", "kilobytes", "length")
_HEAD = struct.Struct(f"<{len(_FIELDS)}Q")


class Ledger:
    """Counters and the input being read, at ``path``.

    Attributes (each read from and written to the file):
        tried: inputs begun.
        refused: inputs that were refused with a named error.
        microseconds: CPU time of the slowest input.
        kilobytes: growth of the process's peak memory since its seeds were read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_HEAD.size + MAX_BYTES))
        with path.open("r+b") as stream:
            self._map = mmap.mmap(stream.fileno(), 0)

    def begin(self, data: bytes) -> None:
        """Note an input before it is read."""
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        self._set(length=len(data), tried=self["tried"] + 1)

    def refuse(self) -> None:
        """Count a named error."""
        self._set(refused=self["refused"] + 1)

    def raise_to(self, **values: int) -> None:
        """Set counters that keep their highest value."""
        self._set(**{name: max(value, self[name]) for name, value in values.items()})

    @property
    def current(self) -> bytes:
        """The input last begun."""
        return self._map[_HEAD.size : _HEAD.size + self["length"]]

    def __getitem__(self, name: str) -> int:
        return int(struct.unpack_from("<Q", self._map, 8 * _FIELDS.index(name))[0])

    def _set(self, **values: int) -> None:
        for name, value in values.items():
            struct.pack_into("<Q", self._map, 8 * _FIELDS.index(name), value)
