"""llama.cpp's step without llama.cpp: the file that it is given, and what it is asked to run."""

from __future__ import annotations

import importlib
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import pytest

SIZES = {
    "num_vq": 2,
    "num_audio_tokens": 10,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 128,
}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "llama_cpp", ModuleType("llama_cpp"))
    monkeypatch.delitem(sys.modules, "peer.llama_step", raising=False)
    yield importlib.import_module("peer.llama_step")
    sys.modules.pop("peer.llama_step", None)


def read(file: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def text(file: BinaryIO) -> str:
    return file.read(read(file, "Q")[0]).decode()


@pytest.mark.parametrize(("kind", "bytes_a_block"), [("q8", 34), ("q4", 18)])
def test_writes_a_llama_of_the_sizes(
    step: Any, tmp_path: Path, kind: str, bytes_a_block: int
) -> None:
    path = tmp_path / "model.gguf"
    step.write_model(path, SIZES, kind, np.random.default_rng(0))
    values: dict[str, Any] = {}
    sizes: dict[str, tuple[tuple[int, ...], int, int]] = {}
    with path.open("rb") as file:
        magic, version, tensors, described = read(file, "4sIQQ")
        for _ in range(described):
            name, form = text(file), read(file, "I")[0]
            values[name] = text(file) if form == 8 else read(file, {4: "I", 6: "f"}[form])[0]
        for _ in range(tensors):
            name, count = text(file), read(file, "I")[0]
            sizes[name] = (read(file, f"{count}Q"), *read(file, "IQ"))
        start = -(-file.tell() // 32) * 32
    assert (magic, version) == (b"GGUF", 3)
    assert values["llama.vocab_size"] == 20 and values["llama.feed_forward_length"] == 256
    assert sizes["output.weight"][0] == (64, 20) and len(sizes) == 3 + 2 * 9
    assert sizes["blk.1.attn_k.weight"][0] == (64, 32)
    shape, number, offset = sizes["blk.1.ffn_down.weight"]  # the last one
    assert shape == (256, 64) and number == {"q8": 8, "q4": 2}[kind]
    assert path.stat().st_size == start + offset + 256 * 64 // 32 * bytes_a_block
    assert not any(offset % 32 for _, _, offset in sizes.values())


def test_runs_a_prompt_in_chunks_then_a_step_of_all_rows(
    step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[tuple[int, int, bool]]] = []

    def decode(_: Any, batch: Any) -> int:
        rows = range(batch.n_tokens)
        asked.append([(batch.seq_id[i][0], batch.pos[i], bool(batch.logits[i])) for i in rows])
        return 0

    def batch(count: int, *_: int) -> SimpleNamespace:
        names = ("token", "pos", "n_seq_id", "logits")
        columns = {name: [0] * count for name in names}
        return SimpleNamespace(n_tokens=0, seq_id=[[0] for _ in range(count)], **columns)

    fake: Any = sys.modules["llama_cpp"]
    fake.llama_context_default_params = SimpleNamespace
    fake.llama_init_from_model = lambda model, settings: settings
    fake.llama_batch_init, fake.llama_decode = batch, decode
    fake.llama_batch_free = fake.llama_free = lambda _: None
    fake.llama_get_logits_ith = lambda *_: step.ctypes.pointer(step.ctypes.c_float())
    monkeypatch.setattr(step, "CHUNK", 4)
    engine = step.StepEngine.__new__(step.StepEngine)
    engine._model, engine.threads = None, 1
    timing = engine.decode(batch=2, length=6, steps=2)
    assert timing.steps == 2 and timing.seconds > 0
    prompt = [[(row, place, place == 5) for place in places] for row in (0, 1)
              for places in (range(4), range(4, 6))]  # fmt: skip
    assert asked == [*prompt, *([(0, place, True), (1, place, True)] for place in (6, 7))]
