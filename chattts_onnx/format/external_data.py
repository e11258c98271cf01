"""Where an ONNX graph says that its weights lie, read without loading it.

ONNX lets every tensor name a file of its own.  ONNX Runtime would open it whether or not it is the
one whose hash was checked, so the names are compared with the manifest before a session is made.
Only the messages on the way to tensors are walked; weights inside the graph are stepped over.
"""

from __future__ import annotations

import mmap

from ..errors import BundleError
from .protobuf import fields

_MAX_DEPTH = 64

# Message -> field -> message, as far as tensors are below it; numbers are those of onnx.proto.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}  # fmt: skip


def external_files(model: bytes | mmap.mmap) -> set[str]:
    """Names of the files that tensors of an encoded model say they lie in.

    Raises :class:`BundleError` on bytes that are no protocol buffer.
    """
    found: set[str] = set()
    # Each entry: message, its kind, how deep it lies.
    waiting = [(memoryview(model), "model", 0)]
    while waiting:
        message, kind, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise BundleError(f"graphs are nested more than {_MAX_DEPTH} times.")
        if kind == "entry":
            found |= _location(message)
            continue
        below = _FIELDS[kind]
        waiting.extend(
            (value, below[field], depth + 1)
            for field, value in fields(message)
            if field in below and not isinstance(value, int)
        )
    return found


def _location(entry: memoryview) -> set[str]:
    # Of a field that stands twice, the last counts.
    values = {f: bytes(value) for f, value in fields(entry) if not isinstance(value, int)}
    if values.get(1) != b"location":
        return set()
    return {values.get(2, b"").decode("utf-8", "backslashreplace")}
