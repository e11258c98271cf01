"""llama.cpp's decoding step as an engine of the benchmark: ``python -m peer.llama_step``.

A Llama of a bundle's sizes with random weights, whose output layer has all heads' audio codes.
What such a step costs does not depend on the numbers. Needs ``llama-cpp-python`` and numpy alone.

Speaks the protocol of :mod:`peer.worker`; ``path`` is a bundle's folder, whose manifest names the
sizes; ``kind`` is ``llama.cpp-q8`` (Q8_0) or ``llama.cpp-q4`` (Q4_0, the output layer in Q8_0).
"""

from __future__ import annotations

import ctypes
import json
import struct
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from peer.worker import Timing, main, timed_steps

Array = npt.NDArray[Any]
Tensor = tuple[str, str, tuple[int, ...], Array]
"""Name, type, shape [outputs, inputs], bytes"""

BLOCK = 32
"""Inputs that share a scale, in both formats."""
BYTES = {"q8": BLOCK, "q4": BLOCK // 2}
"""Bytes of a block's integers; two more hold its scale."""
TYPES = {"f32": 0, "q4": 2, "q8": 8}
"""Numbers of the formats in a GGUF file."""
ALIGNMENT = 32
CHUNK = 512
"""Positions of a prompt that are run at once, llama.cpp's own default."""


class StepEngine:
    """One model, and the context that the last measurement made."""

    def __init__(self, sizes: dict[str, Any], kind: str, threads: int, seed: int) -> None:
        self.kind, self.threads = kind, threads
        self.vocabulary = sizes["num_vq"] * sizes["num_audio_tokens"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.gguf"
            write_model(file, sizes, kind, np.random.default_rng(seed))
            llama_cpp.llama_backend_init()
            settings = llama_cpp.llama_model_default_params()
            self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), settings)
        if not self._model:
            raise RuntimeError("llama.cpp does not load the model")

    def describe(self) -> dict[str, Any]:
        """Engine, provider and threads; what it would take on disk is not measured."""
        engine = f"llama.cpp of llama-cpp-python {version('llama-cpp-python')}, {self.kind}_0"
        return {"engine": engine, "provider": "cpu", "threads": self.threads, "size_bytes": 0}

    def decode(self, batch: int, length: int, steps: int, swept: int = 0) -> Timing:
        """``steps`` steps without sampling after ``length`` positions; see the benchmark's."""
        context = self._context(batch, length + steps)
        positions = llama_cpp.llama_batch_init(CHUNK, 0, 1)
        try:
            for row in range(batch):
                for first in range(0, length, CHUNK):
                    count = min(CHUNK, length - first)
                    places = [(row, first + i) for i in range(count)]
                    run(context, positions, places, first + count == length)
            return timed_steps(
                lambda step: run(
                    context, positions, [(row, length + step) for row in range(batch)], True
                ),
                steps,
                swept,
            )
        finally:
            llama_cpp.llama_batch_free(positions)
            llama_cpp.llama_free(context)

    def _context(self, batch: int, length: int) -> Any:
        settings = llama_cpp.llama_context_default_params()
        settings.n_seq_max = batch
        settings.n_ctx = batch * (-(-length // 256) * 256)
        settings.n_batch = settings.n_ubatch = CHUNK
        settings.n_threads = settings.n_threads_batch = self.threads
        settings.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, settings)
        if not context:
            raise RuntimeError("llama.cpp gives no context")
        return context


def run(context: Any, batch: Any, places: list[tuple[int, int]], wanted: bool) -> None:
    """Run one position of each (row, place); logits of the last of each row where ``wanted``."""
    last = dict(places)
    batch.n_tokens = len(places)
    for i, (row, place) in enumerate(places):
        batch.token[i], batch.pos[i] = 1, place
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
        batch.logits[i] = wanted and last[row] == place
    if status := llama_cpp.llama_decode(context, batch):
        raise RuntimeError(f"llama.cpp fails: {status}")
    if wanted:  # waits for them
        ctypes.cast(llama_cpp.llama_get_logits_ith(context, -1), ctypes.POINTER(ctypes.c_float))[0]


def write_model(file: Path, sizes: dict[str, Any], kind: str, random: np.random.Generator) -> None:
    """A GGUF file (version 3) of a Llama with random weights."""
    tensors = list(_tensors(sizes, kind, random))
    described = list(_described(sizes))
    with file.open("wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(described)))
        out.writelines(described)
        offset = 0
        for name, form, shape, values in tensors:
            out.write(_text(name) + struct.pack("<I", len(shape)))
            out.write(struct.pack(f"<{len(shape)}Q", *reversed(shape)))
            out.write(struct.pack("<IQ", TYPES[form], offset))
            offset += -(-values.nbytes // ALIGNMENT) * ALIGNMENT
        for *_, values in tensors:
            out.write(bytes(-out.tell() % ALIGNMENT))
            out.write(values.tobytes())


def _described(sizes: dict[str, Any]) -> Iterator[bytes]:
    hidden = sizes["hidden_size"]
    words = {"general.architecture": "llama", "tokenizer.ggml.model": "no_vocab"}
    numbers = {
        "vocab_size": sizes["num_vq"] * sizes["num_audio_tokens"],
        "context_length": sizes["max_position_embeddings"],
        "embedding_length": hidden,
        "block_count": sizes["num_hidden_layers"],
        "feed_forward_length": 4 * hidden,
        "attention.head_count": sizes["num_attention_heads"],
        "attention.head_count_kv": sizes["num_key_value_heads"],
        "attention.key_length": sizes["head_dim"],
        "attention.value_length": sizes["head_dim"],
        "rope.dimension_count": sizes["head_dim"],
    }
    for name, word in words.items():
        yield _text(name) + struct.pack("<I", 8) + _text(word)
    for name, number in numbers.items():
        yield _text(f"llama.{name}") + struct.pack("<II", 4, number)
    yield _text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-6)


def _tensors(sizes: dict[str, Any], kind: str, random: np.random.Generator) -> Iterator[Tensor]:
    hidden, inner = sizes["hidden_size"], 4 * sizes["hidden_size"]
    width = sizes["num_attention_heads"] * sizes["head_dim"]
    shared = sizes["num_key_value_heads"] * sizes["head_dim"]
    vocabulary = sizes["num_vq"] * sizes["num_audio_tokens"]

    def norm(name: str) -> Tensor:
        return name, "f32", (hidden,), np.ones(hidden, np.float32)

    yield _blocks("token_embd.weight", "q8", (vocabulary, hidden), random)
    yield norm("output_norm.weight")
    yield _blocks("output.weight", "q8", (vocabulary, hidden), random)
    shapes = {
        "attn_q": (width, hidden),
        "attn_k": (shared, hidden),
        "attn_v": (shared, hidden),
        "attn_output": (hidden, width),
        "ffn_gate": (inner, hidden),
        "ffn_up": (inner, hidden),
        "ffn_down": (hidden, inner),
    }
    for layer in range(sizes["num_hidden_layers"]):
        yield norm(f"blk.{layer}.attn_norm.weight")
        yield norm(f"blk.{layer}.ffn_norm.weight")
        for name, shape in shapes.items():
            yield _blocks(f"blk.{layer}.{name}.weight", kind, shape, random)


def _blocks(name: str, kind: str, shape: tuple[int, int], random: np.random.Generator) -> Tensor:
    """A scale of 16 bits, and the block's integers."""
    count = shape[0] * shape[1] // BLOCK
    values = np.empty((count, 2 + BYTES[kind]), np.uint8)
    values[:, :2] = np.array([1e-3 if kind == "q8" else 1e-2], np.float16).view(np.uint8)
    values[:, 2:] = random.integers(0, 256, (count, BYTES[kind]), dtype=np.uint8)
    return name, kind, shape, values


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode("ascii")


def open_engine(spec: dict[str, Any]) -> StepEngine:
    """Open the engine that the harness describes."""
    manifest = json.loads((Path(spec["path"]) / "manifest.json").read_text(encoding="utf-8"))
    kind = str(spec["kind"]).removeprefix("llama.cpp-")
    return StepEngine(manifest["model"], kind, int(spec["threads"]), int(spec["seed"]))


if __name__ == "__main__":
    main(open_engine)
