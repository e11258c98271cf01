"""Keys and values as INT8, with a scale for each channel of each head.

A step reads the whole cache, so at 512 tokens it is a third of what a 4-bit step reads, and memory
for many requests is mostly cache.  ONNX Runtime's GroupQueryAttention rounds new keys (after their
rotation) and values to INT8 with given scales, and multiplies integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from chattts_onnx.format.manifest import ModelInfo
from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.graphs.edit import add_constant
from pipeline.graphs.probe import Feeds, TensorProbe

Array = NDArray[Any]

FILE = "kv_cache.npz"
ATTENTION = "GroupQueryAttention"
PARTS = ("key", "value")
PREFIXES = ("past_key_values.", "present.")
LIMIT = 127
# Positions of past_key, k_scale and v_scale among the operator's inputs.
_PAST_KEY, _SCALES = 3, (12, 13)


@dataclass(frozen=True)
class CacheConfig:
    """How keys and values are kept.

    Attributes:
        bits: 8, or None for the type of the activations.
        headroom: magnitude of the largest integer, as a multiple of the largest calibrated one;
            what lies beyond is clipped.
    """

    bits: int | None = None
    headroom: float = 1.1

    def __post_init__(self) -> None:
        if self.bits not in (None, 8):
            raise ConfigError(f"cache.bits: found {self.bits}, expected 8 or null")
        if not 0.1 <= self.headroom <= 10:
            raise ConfigError(f"cache.headroom: found {self.headroom}, expected 0.1 to 10")


def collect_magnitudes(path: Path, model: ModelInfo, batches: Iterable[Feeds]) -> Array:
    """Largest magnitude of each channel over ``batches``: float32 [layers, 2, kv_heads, head_dim].

    ``path`` is the fused FP32 GPT; the second axis is key, value.
    """
    names = [f"present.{n}.{part}" for n in range(model.num_hidden_layers) for part in PARTS]
    probe = TensorProbe(path, names)
    shape = (model.num_hidden_layers, len(PARTS), model.num_key_value_heads, model.head_dim)
    largest = np.zeros(shape, np.float32)
    for feeds in batches:
        found = probe.run(feeds)
        # [layers * 2, batch, heads, length, head_dim]
        seen = np.abs(np.stack([found[name] for name in names])).max(axis=(1, 3))
        np.maximum(largest, seen.reshape(shape), out=largest)
    return largest


def save_magnitudes(folder: Path, magnitudes: Array) -> None:
    """Write ``kv_cache.npz``."""
    np.savez_compressed(folder / FILE, allow_pickle=False, magnitudes=magnitudes)


def load_magnitudes(folder: Path) -> Array:
    """Read what :func:`save_magnitudes` wrote.

    Raises:
        QuantizationError: the file is missing or damaged.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            magnitudes: Array = arrays["magnitudes"]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise QuantizationError(
            f"{folder / FILE}: found no ranges of keys and values ({type(error).__name__}: "
            f"{error}); run the calibrate stage again"
        ) from error
    return magnitudes


def cache_scales(config: CacheConfig, magnitudes: Array) -> Array | None:
    """Scales for :func:`quantize_cache` from calibrated magnitudes; None: the cache is float."""
    if config.bits is None:
        return None
    return magnitudes * np.float32(config.headroom / LIMIT)


def cache_model(model: ModelInfo, config: CacheConfig) -> ModelInfo:
    """The model as the manifest of a bundle with that cache describes it."""
    return model if config.bits is None else replace(model, kv_dtype="int8")


def quantize_cache(graph: ir.Graph, scales: Array) -> None:
    """Let every attention of the fused GPT keep INT8 keys and values, in place.

    Args:
        graph: the GPT with GroupQueryAttention.
        scales: float32 [layers, 2, kv_heads, head_dim]; a channel that was always 0 gets scale 1.

    Raises:
        QuantizationError: the graph has another number of layers or heads than ``scales``.
    """
    attention = [node for node in graph if node.op_type == ATTENTION]
    if len(attention) != len(scales):
        raise QuantizationError(
            f"found {len(attention)} {ATTENTION} and scales for {len(scales)} layers; "
            "run the calibrate stage again"
        )
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    for node in attention:
        _quantize_attention(graph, node, scales)
    for value in (*graph.inputs, *graph.outputs):
        if (value.name or "").startswith(PREFIXES):
            value.dtype = ir.DataType.INT8


def _quantize_attention(graph: ir.Graph, node: ir.Node, scales: Array) -> None:
    past = node.inputs[_PAST_KEY]
    layer = int((past.name if past is not None and past.name else "").split(".")[1])
    node.resize_inputs(max(_SCALES) + 1)
    for index, part, values in zip(_SCALES, PARTS, scales[layer], strict=True):
        name = f"layers.{layer}.{part}_cache.scale"
        node.replace_input_with(index, add_constant(graph, name, values[None, :, None, :]))
    for part in ("k", "v"):
        node.attributes.add(ir.AttrString(f"{part}_quant_type", "PER_CHANNEL"))
    node.attributes.add(ir.AttrInt64("kv_cache_bit_width", 8))
