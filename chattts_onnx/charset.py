"""Bytes of users as text: decoded as they say they are, else as UTF-8, else refused by name.

What says so, the first that does: a byte order mark, the encoding that was named (``--encoding``,
``charset=``), UTF-8 itself, and last the machine's own encoding where that is another.  Nothing is
guessed and nothing replaced: speech of undecodable bytes would be nonsense with status 0.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from email.message import Message
from typing import IO

from .errors import InputError
from .untrusted import brief

# UTF-32's mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
# What Python has as encodings and nobody writes a text in.
_NO_CHARSETS = {
    "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined", "charmap",
}  # fmt: skip
# gb2312 is what many files in its supersets say that they are.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "ascii": "utf-8", "shift_jis": "cp932"}
# What Python wants a mark for; without one it is little-endian, as browsers have it.
_WIDER |= {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_LONGEST_MARK = 4
# What surrogateescape makes of a byte, and half of a character beyond U+FFFF.
_SURROGATE = re.compile("[\ud800-\udfff]")
# No text has these by itself, not even a terminal's; Chinese in UTF-16 without a mark is ASCII but
# for them, and ISO-2022 is ASCII throughout.
_UNTOLD = re.compile("[\x01-\x06\x0e-\x19\x1c-\x1f]|\x1b\\$")
# The other encodings that are ASCII throughout.  A run of UTF-7 is base64 of UTF-16, so it is one
# where it means letters; "+iPhone" is none.
_HZ = re.compile(r"~\{(?:[!-w][!-~]){1,120}~\}")
_UTF_7 = re.compile(
    r"\+A[K-P]\w-|(?<![\w+/])\+(?=[+/\w]*[a-z0-9][A-Z])[A-Za-z0-9+/]{6,}(?![\w+/=])", re.ASCII
)
_LETTERS = re.compile(
    "[ -~\xa0-\u058f\u2010-\u2027\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uff65]+"
)
_LONGEST_RUN = 256  # of what may lie across two blocks
_BLOCK = 1 << 16
HINT = "save it as UTF-8, or name its encoding, such as --encoding gb18030"


def known(encoding: str) -> str:
    """Python's name of an encoding of text; :class:`InputError` where there is none."""
    try:
        found = codecs.lookup(encoding.strip().strip("\"'"))
        is_text = found._is_text_encoding
    except (LookupError, ValueError):
        is_text = False
    if not is_text or found.name.replace("_", "-") in _NO_CHARSETS:
        raise InputError(
            f"no encoding {brief(encoding)}; expected one such as utf-8, gb18030, big5 or cp1252."
        )
    return _WIDER.get(found.name, found.name)


def declared(content_type: str) -> str | None:
    """The charset that a Content-Type names, None where it names none."""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_charset()


def detect(head: bytes, encoding: str | None = None) -> tuple[str, int]:
    """Encoding of a text by its first bytes, and how many of them are its mark."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return (known(encoding) if encoding else "utf-8"), 0


def decode(
    data: bytes, where: str, encoding: str | None = None, own: str | None = None, hint: str = HINT
) -> str:
    """``data`` as text; ``where`` names it in errors, ``own`` is the machine's encoding.

    Raises :class:`InputError` on bytes that the encoding does not have, on NUL characters, which
    UTF-16 without a mark is full of, and where nothing names the encoding on controls of UTF-16 and
    ISO-2022.
    """
    return "".join(_decoded(iter((data,)), where, encoding, own, hint))


def read_blocks(
    stream: IO[bytes], where: str, encoding: str | None = None, own: str | None = None
) -> Iterator[str]:
    """The text of a stream of bytes, decoded as :func:`decode` does while it is read."""
    return _decoded(iter(lambda: stream.read(_BLOCK), b""), where, encoding, own, HINT)


def argument(text: str, where: str, encoding: str | None = None) -> str:
    """A command line's argument, from the bytes that it was; raises as :func:`decode`."""
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:  # called from Python, with more than the machine's encoding has
        return require_text(text, where)
    return decode(data, where, encoding, own=sys.getfilesystemencoding())


def require_text(text: str, where: str, hint: str = HINT) -> str:
    """``text``, or :class:`InputError` for no string, undecoded bytes or halves of characters."""
    if not isinstance(text, str):
        raise InputError(f"{where} is {brief(text)}; expected a string.")
    if (found := _SURROGATE.search(text)) is not None:
        place = f"U+{ord(found.group()):04X} at character {found.start()}"
        raise InputError(f"{where} is no Unicode text ({place}); {hint}.")
    return text


def _decoded(
    blocks: Iterator[bytes], where: str, encoding: str | None, own: str | None, hint: str
) -> Iterator[str]:
    head = next(blocks, b"")
    while len(head) < _LONGEST_MARK and (more := next(blocks, b"")):
        head += more
    name, mark = detect(head, encoding)
    if own and not mark and not encoding and not _is_utf8(head):
        name = known(own)
    decoder, place, block, final = codecs.getincrementaldecoder(name)(), mark, head[mark:], False
    seen = ""
    while True:
        try:
            text = decoder.decode(block, final)
        except UnicodeDecodeError as error:
            # It counts from what the decoder had held back.
            at = place + len(block) - len(error.object) + error.start
            found = f"0x{error.object[error.start]:02X} at byte {at}"
            raise InputError(f"{where} is not {name.upper()} text ({found}); {hint}.") from error
        if "\0" in text:
            found = f"NUL characters, as UTF-16 does that is read as {name.upper()}"
            raise InputError(f"{where} holds {found}; {hint}.")
        if not (mark or encoding):
            if (other := _other_encoding(seen[-_LONGEST_RUN:] + text)) is not None:
                raise InputError(f"{where} holds {other} that is read as {name.upper()}; {hint}.")
            seen = text
        if text:
            yield require_text(text, where, hint)  # UTF-7 can write halves of characters
        if final:
            return
        place += len(block)
        block = next(blocks, b"")
        final = not block


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _other_encoding(text: str) -> str | None:
    """What in ``text`` only another encoding writes, and which one; None where nothing does."""
    if (control := _UNTOLD.search(text)) is not None:
        return f"U+{ord(control.group()[0]):04X}, as UTF-16 or ISO-2022 does"
    if (run := _HZ.search(text)) is not None:
        return f"{brief(run.group())}, as HZ does"
    for run in _UTF_7.finditer(text):
        if _is_utf_7(run.group()):
            return f"{brief(run.group())}, as UTF-7 does"
    return None


def _is_utf_7(run: str) -> bool:
    try:
        return _LETTERS.fullmatch(run.encode().decode("utf-7")) is not None
    except UnicodeDecodeError:
        return False
