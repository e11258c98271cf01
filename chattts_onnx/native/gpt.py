"""The fused GPT graph of a bundle as the numbers and weights that a step needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..format.manifest import ModelInfo
from .graph import Array, Attribute, Graph, UnknownGraphError
from .match import Walk
from .weights import Weight, take_product

OPSETS = {"": 23, "com.microsoft": 1}
"""The versions whose operators this module knows."""

_SKIP = "com.microsoft::SkipSimplifiedLayerNormalization"
_ATTENTION = "com.microsoft::GroupQueryAttention"
_SILU = "com.microsoft::QuickGelu"
_FLOAT = 1


@dataclass(frozen=True)
class Norm:
    """An RMS norm over the channels: ``gain`` [hidden]."""

    gain: Array
    epsilon: float


@dataclass(frozen=True)
class Table:
    """Embeddings [rows, hidden]: float, or INT8 with ``scales`` [rows, 1]."""

    rows: Array
    scales: Array | None


@dataclass(frozen=True)
class Layer:
    """One layer; scales of an INT8 cache are [1, kv_heads, 1, head_dim]."""

    norm: Norm
    qkv: Weight
    key_scales: Array | None
    value_scales: Array | None
    output: Weight
    mlp_norm: Norm
    gate_up: Weight
    down: Weight


@dataclass(frozen=True)
class Gpt:
    """All of it; ``cos`` and ``sin`` [positions, head_dim / 2]."""

    text: Table
    code: Table
    speaker_token: int
    cos: Array
    sin: Array
    layers: tuple[Layer, ...]
    norm: Norm
    head: Weight


@dataclass
class _Rotation:
    cos: str
    sin: str


def read_gpt(graph: Graph, model: ModelInfo) -> Gpt:
    """Recognise every node of a fused GPT graph, or raise :class:`UnknownGraphError`."""
    if dict(graph.opsets) != OPSETS:
        raise UnknownGraphError(f"operator sets {dict(graph.opsets)}")
    walk = Walk(graph)
    logits = walk.take("logits", "Reshape", allowzero=None)
    walk.expect(logits.inputs[1], -1, model.num_vq, model.num_audio_tokens)
    head, hidden = take_product(walk, logits.inputs[0])
    walk.same(hidden, "hidden")
    norm, stream = _take_last_norm(walk, model)
    total = walk.take(stream, "Add")
    stream, branch = total.inputs
    layers: list[Layer] = []
    rotation: _Rotation | None = None
    bias: Array | None = None
    for index in reversed(range(model.num_hidden_layers)):
        layer, rotation, stream, branch, bias = _take_layer(
            walk, model, index, (stream, branch, bias), rotation
        )
        layers.append(layer)
    text, code, token = _take_embedding(walk, model, stream)
    walk.finish()
    if rotation is None:
        raise UnknownGraphError("no layers")
    half = model.head_dim // 2
    cos, sin = (walk.constant(name, np.float32, -1, half) for name in vars(rotation).values())
    return Gpt(text, code, token, cos, sin, tuple(reversed(layers)), norm, head)


def _take_last_norm(walk: Walk, model: ModelInfo) -> tuple[Norm, str]:
    """The norm of the positions that ``logits_index`` picks, and the residual stream before."""
    last = walk.take("hidden", "RMSNormalization", axis=-1, epsilon=None, stash_type=1)
    norm = _norm(walk, last.inputs[1], last.attributes, model)
    picked = walk.take(last.inputs[0], "Gather", axis=0)
    index = walk.take(picked.inputs[1], "Reshape", allowzero=None)
    walk.same(index.inputs[0], "logits_index")
    walk.expect(index.inputs[1], -1)
    flat = walk.take(picked.inputs[0], "Reshape", allowzero=None)
    walk.expect(flat.inputs[1], -1, model.hidden_size)
    return norm, flat.inputs[0]


def _norm(walk: Walk, gain: str, attributes: Mapping[str, Attribute], model: ModelInfo) -> Norm:
    epsilon = attributes.get("epsilon")
    if not isinstance(epsilon, float):
        raise UnknownGraphError("a norm without epsilon")
    return Norm(walk.constant(gain, np.float32, model.hidden_size), epsilon)


def _take_layer(
    walk: Walk,
    model: ModelInfo,
    index: int,
    after: tuple[str, str, Array | None],
    rotation: _Rotation | None,
) -> tuple[Layer, _Rotation, str, str, Array | None]:
    """One layer from its end: ``after`` is the stream between attention and MLP, the MLP's result
    and what is added to that.  Returns the same of the layer before, or for the first layer the
    embeddings twice.
    """
    middle, mlp, bias = after
    down, inner = take_product(walk, mlp, bias)
    gated = walk.take(inner, "Mul")
    silu = walk.take(gated.inputs[0], _SILU, alpha=1.0)
    halves = walk.take(silu.inputs[0], "Split", axis=-1, num_outputs=2)
    walk.same(gated.inputs[1], halves.outputs[1])
    gate_up, normed = take_product(walk, halves.inputs[0])
    mlp_norm, stream, attended, bias = _take_skip(walk, normed, middle, model)
    output, context = take_product(walk, attended, bias)
    key_scales, value_scales, packed, rotation = _take_attention(
        walk, model, index, context, rotation
    )
    qkv, normed = take_product(walk, packed)
    branch, bias = stream, None
    if index == 0:
        first = walk.take(normed, "RMSNormalization", axis=-1, epsilon=None, stash_type=1)
        walk.same(first.inputs[0], stream)
        norm = _norm(walk, first.inputs[1], first.attributes, model)
    else:
        norm, stream, branch, bias = _take_skip(walk, normed, stream, model)
    layer = Layer(norm, qkv, key_scales, value_scales, output, mlp_norm, gate_up, down)
    return layer, rotation, stream, branch, bias


def _take_skip(
    walk: Walk, normed: str, total: str, model: ModelInfo
) -> tuple[Norm, str, str, Array | None]:
    """``total = stream + branch + bias`` and its norm: (norm, stream, branch, bias)."""
    node = walk.take(normed, _SKIP, epsilon=None)
    if len(node.outputs) != 4 or node.outputs[3] != total:
        raise UnknownGraphError("a norm whose sum is read elsewhere")
    stream, branch, gain, *bias = node.inputs
    added = walk.constant(bias[0], np.float32, model.hidden_size) if bias else None
    return _norm(walk, gain, node.attributes, model), stream, branch, added


def _take_attention(
    walk: Walk, model: ModelInfo, index: int, name: str, rotation: _Rotation | None
) -> tuple[Array | None, Array | None, str, _Rotation]:
    whole = model.kv_dtype == "int8"
    kinds = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL"}
    rounding: dict[str, Attribute | None] = {**kinds, "kv_cache_bit_width": 8} if whole else {}
    node = walk.take(
        name,
        _ATTENTION,
        do_rotary=1,
        rotary_interleaved=0,
        num_heads=model.num_attention_heads,
        kv_num_heads=model.num_key_value_heads,
        **rounding,
    )
    for key in ("do_rotary", "num_heads", "kv_num_heads", *rounding):
        if key not in node.attributes:
            raise UnknownGraphError(f"attention without {key}")
    part = f"{index}."
    past = (f"past_key_values.{part}key", f"past_key_values.{part}value")
    fixed = ("", "", *past, "seqlens_k", "total_sequence_length")
    packed, *inputs = node.inputs
    if tuple(inputs[:6]) != fixed or node.outputs[1:] != (
        f"present.{part}key",
        f"present.{part}value",
    ):
        raise UnknownGraphError(f"attention reads {inputs[:6]}")
    rotation = rotation or _Rotation(inputs[6], inputs[7])
    walk.same(inputs[6], rotation.cos)
    walk.same(inputs[7], rotation.sin)
    rest = inputs[8:]
    if not whole:
        if any(rest):
            raise UnknownGraphError(f"attention reads {rest}")
        return None, None, packed, rotation
    if len(rest) != 5 or any(rest[:3]):
        raise UnknownGraphError(f"attention reads {rest}")
    shape = (1, model.num_key_value_heads, 1, model.head_dim)
    key_scales, value_scales = (walk.constant(name, np.float32, *shape) for name in rest[3:])
    return key_scales, value_scales, packed, rotation


def _take_embedding(walk: Walk, model: ModelInfo, name: str) -> tuple[Table, Table, int]:
    """Text, else the sum of the codes; the speaker where its token stands and one is given."""
    voiced = walk.take(name, "Where")
    place = walk.take(voiced.inputs[0], "Unsqueeze")
    walk.expect(place.inputs[1], -1)
    both = walk.take(place.inputs[0], "And")
    token = walk.take(both.inputs[0], "Equal")
    given = walk.take(both.inputs[1], "Greater")
    walk.expect(given.inputs[1], 0)
    length = walk.take(given.inputs[0], "ReduceL2", keepdims=1, noop_with_empty_axes=None)
    walk.same(length.inputs[0], "speaker")
    walk.expect(length.inputs[1], -1)
    unit = walk.take(voiced.inputs[1], "Unsqueeze")
    walk.expect(unit.inputs[1], 1)
    scaled = walk.take(unit.inputs[0], "Div")
    walk.same(scaled.inputs[0], "speaker")
    least = walk.take(scaled.inputs[1], "Clip")
    walk.same(least.inputs[0], given.inputs[0])
    walk.expect(least.inputs[1], float(np.float32(1e-12)))

    plain = walk.take(voiced.inputs[2], "Where")
    mask = walk.take(plain.inputs[0], "Unsqueeze")
    walk.same(mask.inputs[0], "text_mask")
    walk.expect(mask.inputs[1], -1)
    text, ids = _take_table(walk, plain.inputs[1], model.num_text_tokens, model)
    walk.same(token.inputs[0], ids)
    text_ids = walk.take(ids, "Where")
    walk.same(text_ids.inputs[0], "text_mask")
    walk.expect(text_ids.inputs[2], 0)
    first = walk.take(text_ids.inputs[1], "Gather", axis=2)
    walk.same(first.inputs[0], "input_ids")
    walk.expect(first.inputs[1], 0)

    total = walk.take(plain.inputs[2], "ReduceSum", keepdims=0, noop_with_empty_axes=0)
    walk.expect(total.inputs[1], 2)
    rows = model.num_vq * model.num_audio_tokens
    code, shifted = _take_table(walk, total.inputs[0], rows, model)
    offset = walk.take(shifted, "Add")
    walk.expect(offset.inputs[1], *range(0, rows, model.num_audio_tokens))
    codes = walk.take(offset.inputs[0], "Where")
    walk.same(codes.inputs[0], plain.inputs[0])
    walk.expect(codes.inputs[1], 0)
    walk.same(codes.inputs[2], "input_ids")
    return text, code, int(walk.number(token.inputs[1]))


def _take_table(walk: Walk, name: str, rows: int, model: ModelInfo) -> tuple[Table, str]:
    """The table that ``name`` is gathered from, and the ids."""
    if walk.kind(name) == "Gather":
        node = walk.take(name, "Gather", axis=0)
        table = walk.constant(node.inputs[0], np.float32, rows, model.hidden_size)
        return Table(table, None), node.inputs[1]
    scaled = walk.take(name, "Mul")
    real = walk.take(scaled.inputs[0], "Cast", to=_FLOAT)
    whole = walk.take(real.inputs[0], "Gather", axis=0)
    scale = walk.take(scaled.inputs[1], "Gather", axis=0)
    walk.same(scale.inputs[1], whole.inputs[1])
    table = walk.constant(whole.inputs[0], np.int8, rows, model.hidden_size)
    return Table(table, walk.constant(scale.inputs[0], np.float32, rows, 1)), whole.inputs[1]
