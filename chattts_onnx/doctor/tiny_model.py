"""An ONNX model of one MatMul as bytes, written field by field: onnx itself is not needed."""

from __future__ import annotations

_FLOAT = 1
_IR_VERSION, _OPSET = 10, 13


def matmul_model() -> bytes:
    """``y [n, n] = a [n, n] @ b [n, n]``, float32; field numbers are those of onnx.proto."""
    node = _text(1, "a") + _text(1, "b") + _text(2, "y") + _text(4, "MatMul")
    graph = _message(1, node) + _text(2, "matmul")
    graph += _message(11, _value("a")) + _message(11, _value("b")) + _message(12, _value("y"))
    opset = _text(1, "") + _number(2, _OPSET)
    return _number(1, _IR_VERSION) + _message(7, graph) + _message(8, opset)


def _value(name: str) -> bytes:
    dimension = _message(1, _text(2, "n"))
    shape = _message(2, dimension + dimension)
    return _text(1, name) + _message(2, _message(1, _number(1, _FLOAT) + shape))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
