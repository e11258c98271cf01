"""base16384: bytes as Chinese characters, 14 bits each, as ChatTTS users share voices.

Seven bytes make four characters from U+4E00 on.  A remainder of n bytes is filled up with zero
bits and announced by a last character U+3D00 + n.
"""

from __future__ import annotations

from ..errors import InputError

_FIRST = 0x4E00
_REMAINDER = 0x3D00
_BITS = 14
_GROUP, _BYTES = 4, 7


def encode(data: bytes) -> str:
    """The text form of ``data``."""
    # A group at a time: one number of all bits would take time in the square of the length.
    text = "".join(_characters(data[i : i + _BYTES]) for i in range(0, len(data), _BYTES))
    remainder = len(data) % _BYTES
    return text + chr(_REMAINDER + remainder) if remainder else text


def _characters(data: bytes) -> str:
    """Up to seven bytes as characters, the last filled up with zero bits."""
    count = -(-len(data) * 8 // _BITS)
    value = int.from_bytes(data, "big") << (count * _BITS - len(data) * 8)
    shifts = range((count - 1) * _BITS, -1, -_BITS)
    return "".join(chr(_FIRST + ((value >> shift) & 0x3FFF)) for shift in shifts)


def decode(text: str) -> bytes:
    """The bytes of a text form; :class:`InputError` names what is wrong with it."""
    remainder = 0
    if text and _REMAINDER < ord(text[-1]) <= _REMAINDER + 6:
        remainder, text = ord(text[-1]) - _REMAINDER, text[:-1]
    size = _size(len(text), remainder)
    groups = (text[i : i + _GROUP] for i in range(0, len(text), _GROUP))
    return b"".join(_group(group, i * _GROUP) for i, group in enumerate(groups))[:size]


def _group(text: str, start: int) -> bytes:
    """The bytes of up to four characters, the first of which stands at ``start``."""
    value = 0
    for position, character in enumerate(text, start):
        code = ord(character) - _FIRST
        if not 0 <= code < 1 << _BITS:
            raise InputError(
                f"character {position} of a base16384 text is U+{ord(character):04X}; expected "
                f"U+{_FIRST:04X} to U+{_FIRST + (1 << _BITS) - 1:04X}."
            )
        value = value << _BITS | code
    return (value << _BITS * (_GROUP - len(text))).to_bytes(_BYTES, "big")


def _size(characters: int, remainder: int) -> int:
    groups, tail = divmod(characters, 4)
    if remainder == 6 and tail == 0 and groups:
        groups, tail = groups - 1, 4
    if tail != -(-remainder * 8 // _BITS):
        raise InputError(
            f"a base16384 text of {characters} characters cannot end in {remainder} remaining "
            "bytes; it is cut off."
        )
    return groups * _BYTES + remainder
