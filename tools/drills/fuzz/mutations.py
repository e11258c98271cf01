"""Changes to bytes and to text that know no more of a format than its special characters."""

from __future__ import annotations

from random import Random

# Inputs stay below this, so that time is spent on many of them.
MAX_BYTES = 1 << 16
_EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 31, (1 << 31) - 1,
          (1 << 32) - 1, 1 << 63, (1 << 63) - 1, (1 << 64) - 1)  # fmt: skip
_BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXT = (
    _BOMB,
    "\x00", "\n", "\r", "\r\n", "\t", "\ufeff", "\u2028", "\u0085", "\x1a", "\x7f", "\u202e",
    "\U0001f600", "\U000e0001", "e\u0301\u0301", "\uffff", '"', "'", ",", ";", "\\", "#", "..",
    "../../etc/passwd", "/etc/passwd", "C:\\x", "%s%n", "${oc.env:HOME}", "&a [*a]", "!!python/x",
    "9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "-0", "1_000", "٣", "[" * 1200, "{" * 1200,
    "(" * 400, '{"a":' * 1200, "A" * 300, "\x1b[31m", "\\ud800", '"\\ud800"', "\\UFFFFFFFF",
    "true", "null", "0x10", "-", "- - - - ", "? ", ": ", "<<: ", "*x", "&x ",
)  # fmt: skip


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """One to five changes anywhere: flips, numbers at their limits, cuts, repeats."""
    value = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        _change(value, random)
    return bytes(value[:MAX_BYTES])


def _change(value: bytearray, random: Random) -> None:
    place = random.randrange(len(value) + 1)
    length = min(random.choice((1, 2, 4, 8, 16, 64, 512)), len(value) - place)
    kind = random.randrange(8)
    if kind == 0 and place < len(value):
        value[place] ^= 1 << random.randrange(8)
    elif kind == 1 and place < len(value):
        value[place] = random.randrange(256)
    elif kind == 2:
        width = random.choice((1, 2, 4, 8))
        edge = random.choice(_EDGES) & ((1 << 8 * width) - 1)
        value[place : place + width] = edge.to_bytes(width, random.choice(("little", "big")))
    elif kind == 3:
        del value[place : place + length]
    elif kind == 4:
        value[place:place] = value[place : place + length] * random.choice((1, 2, 50))
    elif kind == 5:
        del value[place:]
    elif kind == 6:
        value[place:place] = random.randbytes(random.choice((1, 4, 40)))
    else:
        value[place : place + length] = random.choice(TEXT).encode("utf-8", "surrogatepass")


def mutate_text(data: bytes, random: Random) -> bytes:
    """One to four changes of lines, fields and characters, in UTF-8 and sometimes not."""
    text = data.decode("utf-8", "replace")
    for _ in range(random.choice((1, 1, 2, 4))):
        text = _change_text(text, random)[:MAX_BYTES]
    encoding = random.choice(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-16-le", "gb18030"))
    return text.encode(encoding, "surrogatepass" if "utf" in encoding else "replace")[:MAX_BYTES]


def _change_text(text: str, random: Random) -> str:
    lines = text.split("\n")
    at = random.randrange(len(lines))
    kind = random.randrange(7)
    if kind == 0:
        lines[at:at] = [lines[random.randrange(len(lines))]]
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at] = " " * random.choice((1, 2, 7)) + lines[at]
    elif kind == 3:
        lines[at] = lines[at] * random.choice((0, 2, 200))
    elif kind == 4:
        lines[at] = random.choice(TEXT)
    else:
        line = lines[at]
        place = random.randrange(len(line) + 1)
        cut = random.choice((0, 0, 1, 3, len(line)))
        lines[at] = line[:place] + random.choice(TEXT) + line[place + cut :]
    return "\n".join(lines)
