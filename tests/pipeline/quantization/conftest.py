"""Small graphs of the form that the fuse stage writes, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from chattts_onnx.format.manifest import ModelInfo, ReceptiveField, TensorInfo
from pipeline.quantization.calibration.recording import gpt_feeds
from tests.chattts_onnx.tiny_bundle import Graph, gpt_interface

HIDDEN, HEADS, HEAD_DIM, INNER = 64, 2, 32, 96
LAYERS, NUM_VQ, AUDIO, TEXT = 2, 4, 18, 90


class Builder(Graph):
    """With names that patterns of the configuration may match; as the fuse stage has them."""

    opset = 23

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        width = shape[0] ** -0.5 if scale is None else scale
        return self.array(name, (self.random.standard_normal(shape) * width).astype(np.float32))

    def array(self, name: str, value: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(
        self, op: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any
    ) -> Any:
        label = name or f"{op}_{len(self.nodes)}"
        names = [f"{label}_out{i}" if i else f"{label}_out" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=label, **attributes))
        return names[0] if outputs == 1 else names

    def rename(self, old: str, new: str) -> None:
        for node in self.nodes:
            node.output[:] = [new if name == old else name for name in node.output]
            node.input[:] = [new if name == old else name for name in node.input]


def build_gpt(path: Path, residual_gain: float = 1.0) -> Path:
    """A fused GPT; ``residual_gain`` scales the embeddings, and with them the residual stream."""
    g, ms = Builder(0), "com.microsoft"
    g.array("first", np.array(0, np.int64))
    ids = g.add("Gather", "input_ids", "first", axis=2)
    g.weight("embed.emb_text.weight", TEXT, HIDDEN, scale=0.5 * residual_gain)
    g.weight("embed.emb_code.weight", NUM_VQ * AUDIO, HIDDEN, scale=0.25 * residual_gain)
    text = g.add("Gather", "embed.emb_text.weight", ids, name="emb_text")
    g.array("offsets", np.arange(NUM_VQ, dtype=np.int64) * AUDIO)
    zero = g.array("zero", np.array(0, np.int64))
    mask = g.add("Unsqueeze", "text_mask", g.array("last", np.array([-1], np.int64)))
    codes = g.add("Add", g.add("Where", mask, zero, "input_ids"), "offsets")
    code = g.add("Gather", "embed.emb_code.weight", codes, name="emb_code")
    code = g.add("ReduceSum", code, g.array("two", np.array([2], np.int64)), keepdims=0)
    length = g.add("ReduceL2", "speaker", "last", keepdims=1)
    length = g.add("Max", length, g.array("tiny", np.array(1e-12, np.float32)))
    direction = g.add("Unsqueeze", g.add("Div", "speaker", length), "one")
    g.array("one", np.array([1], np.int64))
    x = g.add("Add", g.add("Where", mask, text, code), direction, name="embed_sum")
    angle = np.outer(np.arange(128), 1e4 ** (-np.arange(HEAD_DIM // 2) / (HEAD_DIM // 2)))
    g.array("cos", np.cos(angle).astype(np.float32))
    g.array("sin", np.sin(angle).astype(np.float32))
    gamma = g.array("layers.0.norm", np.ones(HIDDEN, np.float32))
    normed, skip = g.add("RMSNormalization", x, gamma, epsilon=1e-6, name="first_norm"), x
    for i in range(LAYERS):
        p = f"layers.{i}"
        qkv = g.add("MatMul", normed, g.weight(f"{p}.qkv_proj.weight", HIDDEN, 3 * HIDDEN))
        names = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
        out = g.add(
            "GroupQueryAttention", qkv, "", "", *names, "seqlens_k", "total_sequence_length",
            "cos", "sin", name=f"{p}.attention", outputs=3, domain=ms, do_rotary=1,
            num_heads=HEADS, kv_num_heads=HEADS,
        )  # fmt: skip
        for part, result in zip(("key", "value"), out[1:], strict=True):
            g.rename(result, f"present.{i}.{part}")
        attended = g.add("MatMul", out[0], g.weight(f"{p}.o_proj.weight", HIDDEN, HIDDEN))
        normed, skip = _skip_norm(g, attended, skip, f"{p}.post_norm")
        both = g.add("MatMul", normed, g.weight(f"{p}.gate_up_proj.weight", HIDDEN, 2 * INNER))
        gate, up = g.add("Split", both, axis=-1, num_outputs=2, outputs=2)
        gated = g.add("Mul", g.add("QuickGelu", gate, alpha=1.0, domain=ms), up)
        down = g.add("MatMul", gated, g.weight(f"{p}.down_proj.weight", INNER, HIDDEN))
        if i + 1 < LAYERS:
            normed, skip = _skip_norm(g, down, skip, f"{p}.next_norm")
    last = g.add("Add", down, skip, name="last_residual")
    shape = g.array("rows_shape", np.array([-1, HIDDEN], np.int64))
    rows = g.add("Gather", g.add("Reshape", last, shape), "logits_index", axis=0, name="rows")
    final = g.array("norm.weight", np.ones(HIDDEN, np.float32))
    hidden = g.add("RMSNormalization", rows, final, epsilon=1e-6, name="final_norm")
    heads = g.add("MatMul", hidden, g.weight("head_code.weight", HIDDEN, NUM_VQ * AUDIO))
    shape = g.array("logits_shape", np.array([-1, NUM_VQ, AUDIO], np.int64))
    logits = g.add("Reshape", heads, shape)
    g.rename(hidden, "hidden")
    g.rename(logits, "logits")
    g.save(path.parent, path.stem, *gpt_interface("float32", MODEL))
    return path


def _skip_norm(g: Builder, x: str, skip: str, name: str) -> tuple[str, str]:
    gamma = g.array(f"{name}.weight", np.ones(HIDDEN, np.float32))
    out = g.add(
        "SkipSimplifiedLayerNormalization", x, skip, gamma,
        name=name, outputs=4, domain="com.microsoft", epsilon=1e-6,
    )  # fmt: skip
    return out[0], out[3]


def build_vocos(path: Path, mels: int = 20, width: int = 64, n_fft: int = 32) -> Path:
    """Embed conv, one ConvNeXt block, a head with exp, and a transform that stays float."""
    g = Builder(1)
    x = g.add(
        "Conv", "mel", g.weight("embed.weight", width, mels, 7, scale=0.1),
        g.weight("embed.bias", width, scale=0.1), name="embed", pads=[3, 3],
    )  # fmt: skip
    y = g.add(
        "Conv", x, g.weight("dwconv.weight", width, 1, 7, scale=0.3),
        g.weight("dwconv.bias", width, scale=0.1), name="dwconv", pads=[3, 3], group=width,
    )  # fmt: skip
    y = g.add("Transpose", y, perm=[0, 2, 1])
    ones = g.array("ln.weight", np.ones(width, np.float32))
    zeros = g.array("ln.bias", np.zeros(width, np.float32))
    y = g.add("LayerNormalization", y, ones, zeros, axis=-1, name="norm")
    y = g.add("MatMul", y, g.weight("pwconv1.weight", width, 3 * width), name="pwconv1")
    y = g.add("Gelu", g.add("Add", y, g.weight("pwconv1.bias", 3 * width, scale=0.1)))
    y = g.add("MatMul", y, g.weight("pwconv2.weight", 3 * width, width), name="pwconv2")
    y = g.add("Add", g.add("Transpose", y, perm=[0, 2, 1]), x, name="residual")
    y = g.add("Transpose", y, perm=[0, 2, 1])
    bins = n_fft // 2 + 1
    y = g.add("Gemm", g.add("Reshape", y, g.array("flat", np.array([-1, width], np.int64))),
              g.weight("head.weight", width, 2 * bins), g.weight("head.bias", 2 * bins, scale=0.1),
              name="head")  # fmt: skip
    magnitude, phase = g.add("Split", y, axis=-1, num_outputs=2, outputs=2)
    magnitude = g.add("Exp", magnitude, name="exp")
    real = g.add("Mul", magnitude, g.add("Cos", phase, name="cos"))
    frames = g.add("MatMul", real, g.weight("istft_basis", bins, n_fft), name="transform")
    wave = g.add("Reshape", frames, g.array("wave_shape", np.array([1, -1], np.int64)))
    g.rename(wave, "waveform")
    mel = TensorInfo("mel", "float32", ("batch", mels, "frames"))
    g.save(path.parent, path.stem, [mel], [TensorInfo("waveform", "float32", ("batch", "samples"))])
    return path


MODEL = ModelInfo(
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    num_key_value_heads=HEADS,
    head_dim=HEAD_DIM,
    num_vq=NUM_VQ,
    num_audio_tokens=AUDIO,
    num_text_tokens=TEXT,
    max_position_embeddings=128,
    sample_rate=24000,
    hop_length=256,
    num_mels=20,
    kv_dtype="float32",
    receptive_field=ReceptiveField(75, 27, 2),
)


@pytest.fixture
def gpt_path(tmp_path: Path) -> Path:
    """The small GPT, in a folder of its own."""
    folder = tmp_path / "fp32"
    folder.mkdir()
    return build_gpt(folder / "gpt.onnx")


@pytest.fixture
def make_gpt() -> Callable[..., Path]:
    """Builds the small GPT with another gain of its residual stream."""
    return build_gpt


@pytest.fixture
def vocos_path(tmp_path: Path) -> Path:
    """The small Vocos, in a folder of its own."""
    folder = tmp_path / "fp32_vocos"
    folder.mkdir()
    return build_vocos(folder / "vocos.onnx")


@pytest.fixture
def model_info() -> ModelInfo:
    """Sizes of the small GPT."""
    return MODEL


@pytest.fixture
def make_gpt_feeds() -> Callable[..., dict[str, Any]]:
    """Inputs of the small GPT: 7 text positions and 6 code positions."""

    def feeds(seed: int = 0, kv_dtype: str = "float32") -> dict[str, Any]:
        random = np.random.default_rng(seed)
        model = ModelInfo(**{**MODEL.__dict__, "kv_dtype": kv_dtype})
        codes = random.integers(0, AUDIO, (6, NUM_VQ))
        speaker = random.standard_normal(HIDDEN)
        return gpt_feeds(model, random.integers(0, TEXT, 7), codes, speaker, np.arange(6, 13))

    return feeds


@pytest.fixture
def make_mel() -> Callable[..., dict[str, Any]]:
    """Inputs of the small Vocos."""

    def feeds(seed: int = 0) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        return {"mel": random.standard_normal((1, 20, 30)).astype(np.float32)}

    return feeds
