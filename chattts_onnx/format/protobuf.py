"""Fields of encoded protocol buffers, read without a schema: what ONNX files are made of."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from ..errors import BundleError

Value = int | memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


def fields(message: memoryview | bytes | mmap.mmap) -> Iterator[tuple[int, Value]]:
    """Fields of a message with their numbers: whole numbers, else the bytes they hold.

    Raises :class:`BundleError` on bytes that are no protocol buffer.
    """
    message = memoryview(message)
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        wire = tag & 7
        if wire == _VARINT:
            number, place = varint(message, place)
            yield tag >> 3, number
            continue
        if wire == _BYTES:
            size, place = varint(message, place)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise BundleError(f"there is no protocol buffer at byte {place}.")
        yield tag >> 3, _slice(message, place, size)
        place += size


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins at byte ``place``, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = _slice(message, place, 1)[0]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise BundleError(f"a number at byte {place} does not end.")


def _slice(message: memoryview, place: int, size: int) -> memoryview:
    if place + size > len(message):
        raise BundleError("it ends in the middle of a field.")
    return message[place : place + size]
