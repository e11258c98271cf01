"""A few ONNX nodes as bytes that can be appended to a model file.

Protocol buffers define the concatenation of two encoded messages as their merge: repeated fields
(nodes, constants, inputs, outputs) are joined.  An ONNX file followed by a fragment is therefore
the same model with the fragment's nodes behind its own, and the runtime can extend a graph without
the ``onnx`` package.  Field numbers are those of ONNX's ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_ELEMENT_TYPES = {
    "float32": 1,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
}
_INT, _INTS = 2, 7


class Fragment:
    """Nodes under a common name prefix, so that they never meet the model's own names."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._nodes = bytearray()
        self._constants = bytearray()
        self._inputs = bytearray()
        self._outputs = bytearray()

    def constant(self, value: npt.ArrayLike, dtype: str) -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, dtype=dtype)
        name = self._name("constant")
        dims = b"".join(_varint(1, size) for size in array.shape)
        data = np.ascontiguousarray(array).tobytes()
        self._constants += _field(
            5, dims + _varint(2, _ELEMENT_TYPES[dtype]) + _text(8, name) + _field(9, data)
        )
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output (named ``output``, or anew) and return the output's name."""
        return self.ops(kind, *inputs, outputs=(output or self._name(kind),), **attributes)[0]

    def ops(
        self,
        kind: str,
        *inputs: str,
        outputs: Sequence[str] = (),
        count: int = 1,
        **attributes: Any,
    ) -> tuple[str, ...]:
        """Add a node with several outputs and return their names; attributes are int or [int]."""
        names = tuple(outputs) or tuple(self._name(kind) for _ in range(count))
        body = b"".join(_text(1, name) for name in inputs)
        body += b"".join(_text(2, name) for name in names)
        body += _text(3, f"{self._prefix}/{kind}_{self._count}") + _text(4, kind)
        body += b"".join(_field(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes += _field(1, body)
        return names

    def cast(self, value: str, dtype: str) -> str:
        """Add a Cast to a NumPy type's name."""
        return self.op("Cast", value, to=_ELEMENT_TYPES[dtype])

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Add a graph input; strings in ``shape`` name dynamic sizes."""
        self._inputs += _field(11, _value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare a node's output as one of the graph's."""
        self._outputs += _field(12, _value_info(name, dtype, shape))

    def to_bytes(self) -> bytes:
        """The encoded fragment, to append to an encoded model."""
        return _field(7, bytes(self._nodes + self._constants + self._inputs + self._outputs))

    def standalone(self, name: str, opset: int, ir_version: int = 10) -> bytes:
        """The fragment as a model of its own."""
        opset_import = _field(8, _text(1, "") + _varint(2, opset))
        return _varint(1, ir_version) + opset_import + _field(7, _text(2, name)) + self.to_bytes()

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}/{kind.lower()}_{self._count}"


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _varint(3, value) + _varint(20, _INT)
    return _text(1, name) + b"".join(_varint(8, item) for item in value) + _varint(20, _INTS)


def _value_info(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _text(2, size) if isinstance(size, str) else _varint(1, size)) for size in shape
    )
    tensor = _varint(1, _ELEMENT_TYPES[dtype]) + _field(2, dims)
    return _text(1, name) + _field(2, _field(1, tensor))


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are encoded as their 64-bit complement
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varint(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _field(field: int, data: bytes) -> bytes:
    return _number(field << 3 | 2) + _number(len(data)) + data


def _text(field: int, value: str) -> bytes:
    return _field(field, value.encode("utf-8"))
