"""Constant matrices of MatMul nodes: finding and joining them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def matrix(value: ir.Value | None) -> NDArray[np.float32] | None:
    """Return the constant 2-D array behind ``value``, or None if it is not one."""
    constant = None if value is None else ir.convenience.get_const_tensor(value)
    if constant is None or len(constant.shape) != 2:
        return None
    return constant.numpy().astype(np.float32, copy=False)


def join_columns(values: list[ir.Value], name: str) -> ir.TensorProtocol:
    """Concatenate constant matrices [in, out_i] to one tensor [in, sum of out_i]."""
    arrays = [matrix(value) for value in values]
    return ir.tensor(np.concatenate([a for a in arrays if a is not None], axis=1), name=name)
