"""Changes to a JSON document that leave it JSON, and to the JSON header of a safetensors file."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from tools.drills.fuzz.mutations import MAX_BYTES, TEXT, mutate_bytes, mutate_text

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 1.5, -0.0, 1e308, float("nan"), float("inf"), 10**6, 2**31 - 1,
    2**31, 2**53,
    2**63, 2**64, 10**400, -(10**30), "", " ", "a", "0", "a/b", "\ud800", [], {}, [[]], [0] * 9,
    [[1, 2], [3]], {"": {}}, {"a": 1}, *TEXT,
)  # fmt: skip

# Chance that a change falls on a container rather than within it.
_STOP = 0.25


def mutate_json(data: bytes, random: Random) -> bytes:
    """One to three places of the document replaced, removed, renamed, swapped or nested.

    What is no JSON is changed as text.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_text(data, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = change(value, random)
    if random.random() < 0.1:
        return mutate_bytes(dump(value), random)
    return dump(value)


def mutate_json_lines(data: bytes, random: Random) -> bytes:
    """One line changed as JSON, or the lines as text."""
    lines = data.split(b"\n")
    if random.random() < 0.3:
        return mutate_text(data, random)
    at = random.randrange(len(lines))
    lines[at] = mutate_json(lines[at], random)
    return b"\n".join(lines)[:MAX_BYTES]


def mutate_safetensors(data: bytes, random: Random) -> bytes:
    """The header changed as JSON, its length set anew (now and then a wrong one)."""
    length = int.from_bytes(data[:8], "little")
    header = mutate_json(data[8 : 8 + length], random)
    size = len(header) if random.random() < 0.9 else random.choice((0, 1, 2**27, 2**63, 2**64 - 1))
    return (size.to_bytes(8, "little") + header + data[8 + length :])[:MAX_BYTES]


def change(value: Any, random: Random) -> Any:
    """``value``, changed in one place."""
    holder, key = _pick(value, random)
    if holder is None:
        return copy.deepcopy(random.choice(ODD))
    kind = random.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        name = random.choice((*TEXT, *map(str, holder), "a"))
        holder[name] = holder.pop(key)
    elif kind == 2:
        other, place = _pick(value, random)
        if other is not None:
            holder[key] = copy.deepcopy(other[place])
    elif kind == 3:
        holder[key] = [holder[key]] if random.random() < 0.5 else {str(key): holder[key]}
    elif kind == 4 and isinstance(holder, list):
        holder.extend(holder[: random.choice((1, 9, 99))])
    else:
        holder[key] = copy.deepcopy(random.choice(ODD))
    return value


def dump(value: Any) -> bytes:
    """JSON, with NaN and lone surrogates where they are."""
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")[:MAX_BYTES]


def _pick(value: Any, random: Random) -> tuple[Any, Any]:
    """A container within ``value`` and a key in it, by going down from the top."""
    holder, key = None, None
    while isinstance(value, (dict, list)) and value:
        holder = value
        key = (
            random.choice(list(holder))
            if isinstance(holder, dict)
            else random.randrange(len(holder))
        )
        if random.random() < _STOP:
            break
        value = holder[key]
    return holder, key
