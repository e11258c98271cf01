"""A genuine small bundle: random weights, GroupQueryAttention with a shared cache, and a vocoder.

Sizes differ from ChatTTS's wherever they can (hop, mels, code book, KV heads), so that a constant
in the runtime shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from chattts_onnx.format.manifest import GraphInfo, Manifest, ModelInfo, ReceptiveField, TensorInfo
from chattts_onnx.text import TextTokenizer

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 32, 2, 2, 1, 16  # rotary GQA wants 16s
NUM_VQ, AUDIO, POSITIONS = 3, 24, 256
HOP, MELS, WINDOW = 64, 10, 256
STRUCTURE = ["[Stts]", "[Ptts]", "[Sbreak]", "[Pbreak]", "[Ebreak]", "[spk_emb]", "[empty_spk]"]
SOUNDS = ["[uv_break]", "[laugh]", "[break_0]", "[break_1]", "[oral_0]", "[laugh_0]"]
CONTROLS = [*STRUCTURE, *SOUNDS, "[speed_0]", "[speed_5]", "[speed_9]"]
WORDS = ["[PAD]", "[UNK]", "hello", "world", "one", "two", "three", "good", "morning"]
WORDS += ["你", "好", ",", ".", "##s"]

MODEL = ModelInfo(
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    num_key_value_heads=KV_HEADS,
    head_dim=HEAD_DIM,
    num_vq=NUM_VQ,
    num_audio_tokens=AUDIO,
    num_text_tokens=len(WORDS) + len(CONTROLS),
    max_position_embeddings=POSITIONS,
    sample_rate=8000,
    hop_length=HOP,
    num_mels=MELS,
    kv_dtype="float32",
    receptive_field=ReceptiveField(decoder=9, vocos=3, istft=2),
)
_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "bool": TensorProto.BOOL,
}


class Graph:
    """Builds one ONNX graph node by node."""

    opset = 21

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: str = "int64") -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant(self.random.standard_normal(shape) * scale, "float32")

    def op(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        names = outputs or (f"v{len(self.nodes)}",)
        node = helper.make_node(kind, list(inputs), list(names), name=names[0], **attributes)
        self.nodes.append(node)
        return names[0]

    def save(
        self, folder: Path, name: str, inputs: list[TensorInfo], outputs: list[TensorInfo]
    ) -> GraphInfo:
        def values(infos: list[TensorInfo]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(i.name, _TYPES[i.dtype], i.shape) for i in infos]

        graph = helper.make_graph(self.nodes, name, values(inputs), values(outputs), self.weights)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        data = f"{name}.onnx.data"
        onnx.save(
            model,
            folder / f"{name}.onnx",
            save_as_external_data=True,
            location=data,
            size_threshold=64,
        )
        has_data = (folder / data).exists()
        return GraphInfo(f"{name}.onnx", data if has_data else None, tuple(inputs), tuple(outputs))


def _norm(g: Graph, x: str) -> str:
    scale = g.constant(np.ones(HIDDEN), "float32")
    return g.op("SimplifiedLayerNormalization", x, scale, epsilon=1e-6, axis=-1)


def _embed(g: Graph, spk_token: int) -> str:
    text_id = g.op("Gather", "input_ids", g.constant(0), axis=2)
    x = g.op("Gather", g.weight(MODEL.num_text_tokens, HIDDEN), text_id)
    code_sum = ""
    for head in range(NUM_VQ):
        ids = g.op("Gather", "input_ids", g.constant(head), axis=2)
        ids = g.op("Min", ids, g.constant(AUDIO - 1))
        part = g.op("Gather", g.weight(AUDIO, HIDDEN), ids)
        code_sum = g.op("Add", code_sum, part) if code_sum else part
    mask = g.op("Unsqueeze", "text_mask", g.constant([2]))
    x = g.op("Where", mask, x, code_sum)
    norm = g.op("ReduceL2", "speaker", g.constant([1]), keepdims=1)
    known = g.op("Unsqueeze", g.op("Greater", norm, g.constant(0, "float32")), g.constant([1]))
    unit = g.op("Div", "speaker", g.op("Max", norm, g.constant(1e-12, "float32")))
    unit = g.op("Unsqueeze", unit, g.constant([1]))
    place = g.op("Unsqueeze", g.op("Equal", text_id, g.constant(spk_token)), g.constant([2]))
    place = g.op("And", g.op("And", place, mask), known)
    return g.op("Where", place, unit, x)


def _layer(g: Graph, x: str, index: int, cos: str, sin: str) -> str:
    packed = (HEADS + 2 * KV_HEADS) * HEAD_DIM
    qkv = g.op("MatMul", _norm(g, x), g.weight(HIDDEN, packed, scale=HIDDEN**-0.5))
    past = f"past_key_values.{index}"
    present = f"present.{index}"
    attention = g.op(
        "GroupQueryAttention",
        *(qkv, "", "", f"{past}.key", f"{past}.value", "seqlens_k", "total_sequence_length"),
        *(cos, sin),
        outputs=(f"attention{index}", f"{present}.key", f"{present}.value"),
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        do_rotary=1,
    )
    x = g.op("Add", x, g.op("MatMul", attention, g.weight(HIDDEN, HIDDEN, scale=HIDDEN**-0.5)))
    up = g.op("Relu", g.op("MatMul", _norm(g, x), g.weight(HIDDEN, 64, scale=HIDDEN**-0.5)))
    return g.op("Add", x, g.op("MatMul", up, g.weight(64, HIDDEN, scale=0.125)))


def gpt_interface(
    cache: str, model: ModelInfo = MODEL
) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Inputs and outputs of the GPT with a cache of that type."""
    width, heads = model.hidden_size, model.num_vq
    cache_shape = ("batch", model.num_key_value_heads, "max_length", model.head_dim)
    names = [f"{i}.{part}" for i in range(model.num_hidden_layers) for part in ("key", "value")]
    inputs = [
        TensorInfo("input_ids", "int64", ("batch", "sequence", heads)),
        TensorInfo("text_mask", "bool", ("batch", "sequence")),
        TensorInfo("speaker", "float32", ("batch", width)),
        TensorInfo("logits_index", "int64", ("selected",)),
        TensorInfo("seqlens_k", "int32", ("batch",)),
        TensorInfo("total_sequence_length", "int32", ()),
        *(TensorInfo(f"past_key_values.{n}", cache, cache_shape) for n in names),
    ]
    outputs = [
        TensorInfo("hidden", "float32", ("selected", width)),
        TensorInfo("logits", "float32", ("selected", heads, model.num_audio_tokens)),
        *(TensorInfo(f"present.{n}", cache, cache_shape) for n in names),
    ]
    return inputs, outputs


def build_gpt(folder: Path, spk_token: int, seed: int = 0) -> GraphInfo:
    g = Graph(seed)
    x = _embed(g, spk_token)
    frequency = 10000.0 ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angle = np.arange(POSITIONS)[:, None] * frequency
    cos, sin = g.constant(np.cos(angle), "float32"), g.constant(np.sin(angle), "float32")
    for index in range(LAYERS):
        x = _layer(g, x, index, cos, sin)
    flat = g.op("Reshape", _norm(g, x), g.constant([-1, HIDDEN]))
    g.op("Gather", flat, "logits_index", outputs=("hidden",), axis=0)
    heads = g.op("MatMul", "hidden", g.weight(HIDDEN, NUM_VQ * AUDIO, scale=0.2))
    g.op("Reshape", heads, g.constant([-1, NUM_VQ, AUDIO]), outputs=("logits",))
    return g.save(folder, "gpt", *gpt_interface("float32"))


def build_text_head(folder: Path, seed: int = 1) -> GraphInfo:
    g = Graph(seed)
    weight = g.weight(HIDDEN, MODEL.num_text_tokens, scale=0.3)
    g.op("MatMul", "hidden", weight, outputs=("text_logits",))
    return g.save(
        folder,
        "text_head",
        [TensorInfo("hidden", "float32", ("selected", HIDDEN))],
        [TensorInfo("text_logits", "float32", ("selected", MODEL.num_text_tokens))],
    )


def _to_mel(g: Graph, frames: str) -> None:
    """Convolutions that look 9 frames to each side: 3 (k7), then 6 (k7, dilation 2)."""
    width = 16
    x = g.op("Conv", frames, g.weight(16, width, 7, scale=0.1), g.weight(16), pads=[3, 3])
    x = g.op("Tanh", x)
    w = g.weight(MELS, 16, 7, scale=0.1)
    g.op("Conv", x, w, g.weight(MELS), outputs=("mel",), pads=[6, 6], dilations=[2])


def build_decoder(folder: Path, seed: int = 2) -> GraphInfo:
    g = Graph(seed)
    halves = g.op("Reshape", "hidden", g.constant([0, -1, HIDDEN // 2]))
    _to_mel(g, g.op("Transpose", halves, perm=[0, 2, 1]))
    return g.save(
        folder,
        "decoder",
        [TensorInfo("hidden", "float32", ("batch", "steps", HIDDEN))],
        [TensorInfo("mel", "float32", ("batch", MELS, "frames"))],
    )


def build_dvae_decode(folder: Path, seed: int = 3) -> GraphInfo:
    g = Graph(seed)
    total = ""
    for head in range(NUM_VQ):
        ids = g.op("Gather", "codes", g.constant(head), axis=2)
        part = g.op("Gather", g.weight(AUDIO, 32), ids)
        total = g.op("Add", total, part) if total else part
    halves = g.op("Reshape", total, g.constant([0, -1, 16]))
    _to_mel(g, g.op("Transpose", halves, perm=[0, 2, 1]))
    return g.save(
        folder,
        "dvae_decode",
        [TensorInfo("codes", "int64", ("batch", "steps", NUM_VQ))],
        [TensorInfo("mel", "float32", ("batch", MELS, "frames"))],
    )


def build_dvae_encode(folder: Path, seed: int = 4) -> GraphInfo:
    g = Graph(seed)
    wave = g.op("Unsqueeze", "waveform", g.constant([1]))
    x = g.op("Conv", wave, g.weight(NUM_VQ, 1, 2 * HOP), strides=[2 * HOP])
    x = g.op("Mul", g.op("Sigmoid", x), g.constant(AUDIO - 1.5, "float32"))
    x = g.op("Cast", g.op("Floor", x), to=TensorProto.INT64)
    g.op("Transpose", x, outputs=("codes",), perm=[0, 2, 1])
    return g.save(
        folder,
        "dvae_encode",
        [TensorInfo("waveform", "float32", ("batch", "samples"))],
        [TensorInfo("codes", "int64", ("batch", "steps", NUM_VQ))],
    )


def build_vocos(folder: Path, seed: int = 5) -> GraphInfo:
    """A k7 convolution and an overlap-add of windows of 4 hops, as an ISTFT has."""
    g = Graph(seed)
    x = g.op("Tanh", g.op("Conv", "mel", g.weight(16, MELS, 7, scale=0.2), pads=[3, 3]))
    basis = g.weight(16, 1, WINDOW, scale=0.1)
    pads = [WINDOW // 2, WINDOW // 2]
    x = g.op("ConvTranspose", x, basis, strides=[HOP], pads=pads)
    g.op("Squeeze", x, g.constant([1]), outputs=("waveform",))
    return g.save(
        folder,
        "vocos",
        [TensorInfo("mel", "float32", ("batch", MELS, "frames"))],
        [TensorInfo("waveform", "float32", ("batch", "samples"))],
    )


def build_tokenizer(folder: Path) -> None:
    """WordPiece with truncation and padding embedded, as the official file has them."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(CONTROLS)
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=4, pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))


def build(folder: Path) -> Manifest:
    """Write the whole bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    build_tokenizer(folder)
    tokens = TextTokenizer.load(folder / "tokenizer.json").control_tokens
    graphs = {
        "gpt": build_gpt(folder, tokens["[spk_emb]"]),
        "text_head": build_text_head(folder),
        "decoder": build_decoder(folder),
        "dvae_decode": build_dvae_decode(folder),
        "dvae_encode": build_dvae_encode(folder),
        "vocos": build_vocos(folder),
    }
    (folder / "voices").mkdir()
    np.save(folder / "voices" / "anna.npy", np.linspace(-1, 1, HIDDEN, dtype=np.float32))
    defaults = {
        "temperature": 0.8,
        "top_p": 0.7,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "max_new_tokens": 100,
        "min_new_tokens": 0,
    }
    refine = {**defaults, "temperature": 0.7, "repetition_penalty": 1.0, "max_new_tokens": 40}
    return Manifest(
        variant="tiny",
        checkpoint={"name": "tiny", "source": "tests", "license": "none", "files": {}},
        tools={"onnx": onnx.__version__},
        model=MODEL,
        graphs=graphs,
        generation={"code": defaults, "refine": refine},
        tokens=tokens,
    ).write(folder)
