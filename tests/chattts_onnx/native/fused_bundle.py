"""The tiny bundle with its GPT as the pipeline's fusion leaves it: what the library knows.

Every product can be stored in each form; the numbers are random.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chattts_onnx.format.manifest import GraphInfo, Manifest
from chattts_onnx.text import TextTokenizer
from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight
from tests.chattts_onnx import tiny_bundle
from tests.chattts_onnx.tiny_bundle import AUDIO, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, LAYERS, NUM_VQ

INNER = 64
EPSILON = 1e-6
FORMS = ("float", "static", "wide", "two-bytes", "w8", "w4", "w4-zeros", "w4-half")
_MS = "com.microsoft"


class FusedGraph(tiny_bundle.Graph):
    """Adds weights in the forms of the quantization stages."""

    opset = 23

    def product(self, x: str, inputs: int, outputs: int, form: str) -> str:
        weight = self.random.standard_normal((inputs, outputs)) * inputs**-0.5
        if form == "float":
            return self.op("MatMul", x, self.constant(weight, "float32"))
        if form in ("static", "wide", "two-bytes"):
            return self._static(x, weight, 64 if form == "static" else 127, form == "two-bytes")
        return self._blocks(x, weight.T, form)

    def _static(self, x: str, weight: np.ndarray, limit: int, two_bytes: bool) -> str:
        scales = np.abs(weight).max(axis=0) / limit
        integers = np.rint(weight / scales)
        real = self._rounded(x, 0.03, 120)
        stored = self.op(
            "DequantizeLinear",
            self.constant(integers, "int8"),
            self.constant(scales, "float32"),
            self.constant(np.zeros(len(scales)), "int8"),
            axis=1,
        )
        product = self.op("MatMul", real, stored)
        if two_bytes:
            rest = self._rounded(self.op("Sub", real, x), 0.03 / 255, 127)
            product = self.op("Sub", product, self.op("MatMul", rest, stored))
        surplus = self.random.standard_normal(len(scales)) * 0.01
        return self.op("Sub", product, self.constant(surplus, "float32"))

    def _rounded(self, x: str, scale: float, zero: int) -> str:
        parameters = self.constant(scale, "float32"), self.constant(zero, "uint8")
        whole = self.op("QuantizeLinear", x, *parameters)
        return self.op("DequantizeLinear", whole, *parameters)

    def _blocks(self, x: str, weight: np.ndarray, form: str) -> str:
        bits, zeros = 8 if form == "w8" else 4, form == "w4-zeros"
        layout = BlockFormat(bits, 32, not zeros)
        blocks = weight.reshape(len(weight), -1, layout.block_size)
        low, high = blocks.min(axis=2), blocks.max(axis=2)
        scales = np.maximum((high - low) / layout.largest, 1e-6)
        points = np.clip(np.rint(-low / scales), 0, layout.largest)
        if not zeros:
            scales = np.abs(blocks).max(axis=2) / (layout.middle - 1)
            points = np.full_like(scales, layout.middle)
        integers = np.rint(blocks / scales[..., None]) + points[..., None]
        stored = BlockWeight(
            layout,
            integers.clip(0, layout.largest).astype(np.uint8).reshape(weight.shape),
            scales.astype(np.float32),
            points.astype(np.uint8),
        )
        inputs = [self.constant(stored.packed(), "uint8")]
        if form == "w4-half":
            inputs.append(self.op("Cast", self.constant(stored.scales, "float16"), to=1))
        else:
            inputs.append(self.constant(stored.scales, "float32"))
        if zeros:
            inputs.append(self.constant(stored.packed_zero_points(), "uint8"))
        sizes = {"K": weight.shape[1], "N": len(weight), "bits": bits, "block_size": 32}
        return self.op("MatMulNBits", x, *inputs, domain=_MS, accuracy_level=4, **sizes)

    def norm(self, x: str, outputs: tuple[str, ...] = ()) -> str:
        gain = self.constant(1 + 0.1 * self.random.standard_normal(HIDDEN), "float32")
        return self.op(
            "RMSNormalization", x, gain, outputs=outputs, epsilon=EPSILON, axis=-1, stash_type=1
        )

    def skip_norm(self, x: str, branch: str, bias: bool) -> tuple[str, str]:
        gain = self.constant(1 + 0.1 * self.random.standard_normal(HIDDEN), "float32")
        inputs = [x, branch, gain]
        if bias:
            inputs.append(self.constant(self.random.standard_normal(HIDDEN) * 0.01, "float32"))
        normed = f"n{len(self.nodes)}"
        unused = (f"{normed}_a", f"{normed}_b")
        self.op(
            "SkipSimplifiedLayerNormalization",
            *inputs,
            outputs=(normed, *unused, f"{normed}_sum"),
            domain=_MS,
            epsilon=EPSILON,
        )
        return normed, f"{normed}_sum"


def _table(g: FusedGraph, ids: str, rows: int, whole: bool) -> str:
    table = g.random.standard_normal((rows, HIDDEN))
    if not whole:
        return g.op("Gather", g.constant(table, "float32"), ids, axis=0)
    scales = np.abs(table).max(axis=1, keepdims=True) / 127
    integers = g.op("Gather", g.constant(np.rint(table / scales), "int8"), ids)
    scale = g.op("Gather", g.constant(scales, "float32"), ids)
    return g.op("Mul", g.op("Cast", integers, to=1), scale)


def _embed(g: FusedGraph, spk_token: int, whole: bool) -> str:
    zero, last, one = g.constant(0), g.constant([-1]), g.constant([1])
    text_id = g.op("Gather", "input_ids", zero, axis=2)
    ids = g.op("Where", "text_mask", text_id, zero)
    mask = g.op("Unsqueeze", "text_mask", last)
    codes = g.op("Where", mask, zero, "input_ids")
    shifted = g.op("Add", codes, g.constant(np.arange(NUM_VQ) * AUDIO))
    text = _table(g, ids, tiny_bundle.MODEL.num_text_tokens, whole)
    code = _table(g, shifted, NUM_VQ * AUDIO, whole)
    total = g.op("ReduceSum", code, g.constant([2]), keepdims=0, noop_with_empty_axes=0)
    plain = g.op("Where", mask, text, total)
    length = g.op("ReduceL2", "speaker", last, keepdims=1, noop_with_empty_axes=0)
    unit = g.op("Div", "speaker", g.op("Clip", length, g.constant(1e-12, "float32")))
    place = g.op("Equal", ids, g.constant(spk_token))
    known = g.op("And", place, g.op("Greater", length, g.constant(0, "float32")))
    voice = g.op("Unsqueeze", unit, one)
    return g.op("Where", g.op("Unsqueeze", known, last), voice, plain)


def _attention(g: FusedGraph, packed: str, index: int, angles: tuple[str, str], whole: bool) -> str:
    past, present = f"past_key_values.{index}", f"present.{index}"
    inputs = [packed, "", "", f"{past}.key", f"{past}.value", "seqlens_k", "total_sequence_length"]
    inputs += angles
    kinds: dict[str, Any] = {}
    if whole:
        scales = g.random.uniform(0.01, 0.03, (2, 1, KV_HEADS, 1, HEAD_DIM))
        inputs += ["", "", "", *(g.constant(scale, "float32") for scale in scales)]
        kinds = {f"{part}_quant_type": "PER_CHANNEL" for part in "kv"}
        kinds["kv_cache_bit_width"] = 8
    return g.op(
        "GroupQueryAttention",
        *inputs,
        outputs=(f"attention{index}", f"{present}.key", f"{present}.value"),
        domain=_MS,
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        do_rotary=1,
        rotary_interleaved=0,
        **kinds,
    )


def build_gpt(folder: Path, spk_token: int, form: str, whole: bool, seed: int = 0) -> GraphInfo:
    """Write the graph; ``whole``: INT8 cache and embeddings."""
    g = FusedGraph(seed)
    x = _embed(g, spk_token, whole)
    frequency = 10000.0 ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angle = np.arange(tiny_bundle.POSITIONS)[:, None] * frequency
    angles = g.constant(np.cos(angle), "float32"), g.constant(np.sin(angle), "float32")
    width = (HEADS + 2 * KV_HEADS) * HEAD_DIM
    normed = g.norm(x)
    for index in range(LAYERS):
        if index:
            normed, x = g.skip_norm(x, branch, bias=True)  # noqa: F821
        attended = _attention(g, g.product(normed, HIDDEN, width, form), index, angles, whole)
        branch = g.product(attended, HEADS * HEAD_DIM, HIDDEN, form)
        normed, x = g.skip_norm(x, branch, bias=index == 0)
        both = g.product(normed, HIDDEN, 2 * INNER, form)
        gate = g.op("Split", both, outputs=(f"g{index}", f"u{index}"), axis=-1, num_outputs=2)
        silu = g.op("QuickGelu", gate, domain=_MS, alpha=1.0)
        branch = g.product(g.op("Mul", silu, f"u{index}"), INNER, HIDDEN, form)
    flat = g.op("Reshape", g.op("Add", x, branch), g.constant([-1, HIDDEN]), allowzero=1)
    index_ = g.op("Reshape", "logits_index", g.constant([-1]), allowzero=0)
    g.norm(g.op("Gather", flat, index_, axis=0), outputs=("hidden",))
    scores = g.product("hidden", HIDDEN, NUM_VQ * AUDIO, form)
    g.op("Reshape", scores, g.constant([-1, NUM_VQ, AUDIO]), outputs=("logits",), allowzero=1)
    (folder / "gpt.onnx.data").unlink()
    return g.save(folder, "gpt", *tiny_bundle.gpt_interface("int8" if whole else "float32"))


def build(folder: Path, form: str, whole: bool = True) -> Manifest:
    """Write the whole bundle, the GPT's products in ``form`` (:data:`FORMS`)."""
    manifest = tiny_bundle.build(folder)
    tokens = TextTokenizer.load(folder / "tokenizer.json").control_tokens
    gpt = build_gpt(folder, tokens["[spk_emb]"], form, whole)
    return replace(
        manifest,
        variant=f"fused-{form}",
        graphs={**manifest.graphs, "gpt": gpt},
        model=replace(manifest.model, kv_dtype="int8" if whole else "float32"),
    ).write(folder)
