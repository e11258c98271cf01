"""The fused GPT in float64, to tell what the library's step should give.

Weights of any form are taken for what they stand for; keys and values are rounded where the cache
is INT8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from chattts_onnx.native.gpt import Gpt, Layer, Norm, Table
from chattts_onnx.native.weights import Form, Weight
from chattts_onnx.text import Prompt

Floats = npt.NDArray[np.float64]


def logits(gpt: Gpt, prompt: Prompt, kv_heads: int) -> Floats:
    """Scores [positions, num_vq * audio tokens] of a prompt without a speaker."""
    x = _embed(gpt, prompt)
    for layer in gpt.layers:
        x = _layer(gpt, layer, x, kv_heads)
    return _product(gpt.head, _norm(gpt.norm, x))


def _embed(gpt: Gpt, prompt: Prompt) -> Floats:
    code_rows = len(gpt.code.rows) // prompt.ids.shape[1]
    offsets = np.arange(prompt.ids.shape[1]) * code_rows
    text = _rows(gpt.text)[np.where(prompt.text_mask, prompt.ids[:, 0], 0)]
    ids = np.where(prompt.text_mask[:, None], 0, prompt.ids) + offsets
    return np.where(prompt.text_mask[:, None], text, _rows(gpt.code)[ids].sum(axis=1))


def _rows(table: Table) -> Floats:
    rows = table.rows.astype(np.float64)
    return rows if table.scales is None else rows * table.scales


def _norm(norm: Norm, x: Floats) -> Floats:
    scale = np.sqrt((x**2).mean(axis=-1, keepdims=True) + norm.epsilon)
    result: Floats = x / scale * norm.gain
    return result


def _product(weight: Weight, x: Floats) -> Floats:
    assert weight.form is Form.FLOAT
    result: Floats = x @ weight.values.astype(np.float64)
    return result if weight.bias is None else result + weight.bias


def _layer(gpt: Gpt, layer: Layer, x: Floats, kv_heads: int) -> Floats:
    packed = _product(layer.qkv, _norm(layer.norm, x))
    width = 2 * gpt.cos.shape[1]
    parts = packed.reshape(len(x), -1, width).swapaxes(0, 1)
    heads = len(parts) - 2 * kv_heads
    query, key = _rotate(gpt, parts[:heads]), _rotate(gpt, parts[heads:-kv_heads])
    key = _rounded(key, layer.key_scales)
    value = _rounded(parts[-kv_heads:], layer.value_scales)
    key, value = (np.repeat(part, heads // kv_heads, axis=0) for part in (key, value))
    scores = query @ key.swapaxes(1, 2) / np.sqrt(width)
    scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    context = weights / weights.sum(axis=-1, keepdims=True) @ value
    x = x + _product(layer.output, context.swapaxes(0, 1).reshape(len(x), -1))
    gate, up = np.split(_product(layer.gate_up, _norm(layer.mlp_norm, x)), 2, axis=-1)
    return x + _product(layer.down, gate / (1 + np.exp(-gate)) * up)


def _rotate(gpt: Gpt, x: Floats) -> Floats:
    cos, sin = gpt.cos[: x.shape[1]], gpt.sin[: x.shape[1]]
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _rounded(x: Floats, scales: Any) -> Floats:
    if scales is None:
        return x
    scale = scales[0].astype(np.float64)
    return np.clip(np.rint(x / scale), -127, 127) * scale
