"""The libraries that an ELF file links to (its DT_NEEDED entries), without loading it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

_DT_NEEDED, _DT_STRTAB = 1, 5
_PT_LOAD, _PT_DYNAMIC = 1, 2


def needed_libraries(path: Path) -> list[str]:
    """Names such as ``libcudart.so.13``; empty for anything but a 64-bit little-endian ELF."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
            if head[:6] != b"\x7fELF\x02\x01":
                return []
            return _needed(stream, head)
    except (OSError, struct.error):
        return []


def _needed(stream: IO[bytes], head: bytes) -> list[str]:
    offset = struct.unpack_from("<Q", head, 32)[0]
    size, count = struct.unpack_from("<HH", head, 54)
    stream.seek(offset)
    table = stream.read(size * count)
    segments = [struct.unpack_from("<IIQQQQQQ", table, i * size) for i in range(count)]
    dynamic = next((s for s in segments if s[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return []
    stream.seek(dynamic[2])
    data = stream.read(dynamic[5])
    entries = [struct.unpack_from("<QQ", data, i) for i in range(0, len(data) - 15, 16)]
    address = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if address is None:
        return []
    load = next((s for s in segments if s[0] == _PT_LOAD and s[3] <= address < s[3] + s[5]), None)
    if load is None:
        return []
    strings = address - load[3] + load[2]
    return [_string(stream, strings + value) for tag, value in entries if tag == _DT_NEEDED]


def _string(stream: IO[bytes], offset: int) -> str:
    stream.seek(offset)
    return stream.read(256).partition(b"\0")[0].decode("ascii", "replace")
