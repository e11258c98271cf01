"""An ONNX graph as nodes and constants, read without the ``onnx`` package.

Only what the GPT graphs of bundles consist of; anything else is :class:`UnknownGraphError`, and
ONNX Runtime runs the graph.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..format.protobuf import Value, fields, varint
from ..untrusted import brief

Array = npt.NDArray[Any]
Attribute = int | float | str

_MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 7, 8, 25
_NODE, _INITIALIZER, _OUTPUT, _SPARSE = 1, 5, 12, 15
_DTYPES: Mapping[int, type[np.generic]] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
}
_EXTERNAL = 1


class UnknownGraphError(Exception):
    """The library does not know something about a graph; the message says what."""


@dataclass(frozen=True)
class Node:
    """One operator; ``op`` holds the domain too unless it is ONNX's own."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """A model's graph; ``constants`` are views of its files, valid while ``data`` is open."""

    opsets: Mapping[str, int]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]
    data: mmap.mmap | None

    @property
    def address(self) -> int:
        """Where the mapped file begins in memory, 0 where there is none."""
        return 0 if self.data is None else np.frombuffer(self.data, np.uint8).ctypes.data


def read_graph(path: Path, data: Path | None) -> Graph:
    """Read a model and map its weights, which lie in it or in the file ``data`` beside it.

    Raises :class:`UnknownGraphError` where it holds what the library does not know, and
    :class:`BundleError` where a file is damaged.
    """
    mapped = _map(data) if data else None
    opsets: dict[str, int] = {}
    graph = memoryview(b"")
    for field, value in fields(path.read_bytes()):
        if field == _MODEL_GRAPH:
            graph = _message(value)
        elif field == _MODEL_OPSET:
            domain, version = "", 0
            for number, item in fields(_message(value)):
                domain, version = (_text(item), version) if number == 1 else (domain, _int(item))
            opsets[domain] = version
        elif field == _MODEL_FUNCTION:
            raise UnknownGraphError("functions")
    nodes, constants, outputs = [], {}, []
    for field, value in fields(graph):
        if field == _NODE:
            nodes.append(_node(_message(value)))
        elif field == _INITIALIZER:
            name, array = _tensor(_message(value), data.name if data else None, mapped)
            constants[name] = array
        elif field == _OUTPUT:
            outputs.append(_text(dict(fields(_message(value))).get(1, memoryview(b""))))
        elif field == _SPARSE:
            raise UnknownGraphError("sparse weights")
    return Graph(opsets, tuple(nodes), constants, tuple(outputs), mapped)


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _node(message: memoryview) -> Node:
    inputs, outputs, attributes = [], [], {}
    op = domain = ""
    for field, value in fields(message):
        if field == 1:
            inputs.append(_text(value))
        elif field == 2:
            outputs.append(_text(value))
        elif field == 4:
            op = _text(value)
        elif field == 5:
            name, attribute = _attribute(_message(value))
            attributes[name] = attribute
        elif field == 7:
            domain = _text(value)
    if domain not in ("", "ai.onnx"):
        op = f"{domain}::{op}"
    return Node(op, tuple(inputs), tuple(outputs), attributes)


def _attribute(message: memoryview) -> tuple[str, Attribute]:
    """Name and value of a number or a text; other kinds are not known."""
    found = dict(fields(message))
    name = _text(found.get(1, memoryview(b"")))
    kind = _int(found.get(20, 0))
    if kind == 1:
        return name, float(np.frombuffer(_message(found.get(2, memoryview(bytes(4)))), "<f4")[0])
    if kind == 2:
        number = _int(found.get(3, 0))
        return name, number - (1 << 64) if number >> 63 else number
    if kind == 3:
        return name, _text(found.get(4, memoryview(b"")))
    raise UnknownGraphError(f"the attribute {brief(name)}")


def _tensor(message: memoryview, file: str | None, mapped: mmap.mmap | None) -> tuple[str, Array]:
    dims: list[int] = []
    name, kind, location = "", 0, 0
    raw: memoryview = memoryview(b"")
    entries: dict[str, str] = {}
    for field, value in fields(message):
        if field == 1:
            # A repeated number: one by one, or packed as bytes.
            dims += [value] if isinstance(value, int) else _packed(value)
        elif field == 2:
            kind = _int(value)
        elif field == 8:
            name = _text(value)
        elif field == 9:
            raw = _message(value)
        elif field == 13:
            entry = dict(fields(_message(value)))
            entries[_text(entry[1])] = _text(entry.get(2, memoryview(b"")))
        elif field == 14:
            location = _int(value)
        elif field in (3, 4, 5, 6, 7, 10, 11):
            raise UnknownGraphError(f"how {brief(name)} is stored")
    if kind not in _DTYPES:
        raise UnknownGraphError(f"the element type {kind}")
    dtype = np.dtype(_DTYPES[kind])
    count = int(np.prod(dims, dtype=object)) if dims else 1
    size = count * dtype.itemsize
    if location == _EXTERNAL:
        raw = _external(name, entries, size, file, mapped)
    if len(raw) != size:
        raise BundleError(f"{brief(name)} has {len(raw)} bytes, expected {size}.")
    return name, np.frombuffer(raw, dtype).reshape(dims)


def _external(
    name: str, entries: Mapping[str, str], size: int, file: str | None, mapped: mmap.mmap | None
) -> memoryview:
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError as error:
        raise BundleError(f"{brief(name)} lies at {brief(entries)}.") from error
    if mapped is None or entries.get("location") != file:
        raise BundleError(f"{brief(name)} lies in another file than the manifest names.")
    if offset < 0 or length != size or offset + length > len(mapped):
        raise BundleError(f"{brief(name)} lies beyond the end of its file.")
    return memoryview(mapped)[offset : offset + length]


def _packed(value: memoryview) -> list[int]:
    numbers, place = [], 0
    while place < len(value):
        number, place = varint(value, place)
        numbers.append(number)
    return numbers


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise BundleError("a number stands where a message is expected.")
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise BundleError("a message stands where a number is expected.")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)).decode("utf-8", "backslashreplace")
