"""Readers of checkpoints: tensors, the GPT's configuration, the tokenizer, the record."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from chattts_onnx.text.tokenizer import TextTokenizer
from pipeline.checkpoint import gpt_config, layout
from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.lora import merge_adapter
from pipeline.checkpoint.record import CheckpointRecord, FileRecord, read_record, write_record
from pipeline.checkpoint.seeded import write_seeded
from pipeline.checkpoint.tensors import STORED, open_tensors
from pipeline.checkpoint.tokenizer import (
    BASE_TOKENS,
    CONTROL_TOKENS,
    check_tokenizer,
    write_tokenizer,
)
from tests.pipeline.checkpoint.tiny import TINY
from tools.drills.fuzz.binary_mutations import mutate_pickle
from tools.drills.fuzz.json_mutations import dump, mutate_json, mutate_safetensors
from tools.drills.fuzz.mutations import mutate_bytes
from tools.drills.fuzz.reader import Prepared, reader

_KEPT_TOKENS = 90


@reader("safetensors", "safetensors headers and their tensors", mutate_safetensors)
def _safetensors(folder: Path) -> Prepared:
    path = folder / "model.safetensors"
    tensors: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.ones(4, np.float32),
    }
    integers: dict[str, Any] = {
        "a": np.arange(3, dtype=np.int64),
        "é.weight": np.zeros((0, 2), np.float16),
        "half": np.ones(3, np.float16),
        "double": np.ones(2),
    }

    def read(path: Path) -> None:
        found = open_tensors(path)
        for name in found.names:
            if found.entries[name].dtype in STORED:
                found.array(name)
        found.check({} if "é.weight" in found else {"a": (2, 3)})

    seeds = (save(tensors), save(tensors, {"format": "pt"}), save(integers))
    return Prepared.of_file(path, seeds, read)


@reader("gpt-config", "`config.json` of a checkpoint", mutate_json)
def _gpt_config(folder: Path) -> Prepared:
    """Read alone, and against the tensors of a tiny checkpoint."""
    path = folder / layout.GPT_CONFIG
    write_seeded(folder, TINY, 1, lambda _: None)
    plain = {**json.loads(path.read_bytes()), "attention_bias": False, "rope_scaling": None}
    nested = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "mlp_bias": False}

    def read(_: Path) -> None:
        config = gpt_config.read_gpt_config(folder)
        gpt_config.rope_theta(config)
        gpt_config.rms_norm_eps(config)
        gpt_config.max_positions(config)
        gpt_config.count(config, "num_hidden_layers", 1)
        load_dims(folder)

    return Prepared.of_file(path, [dump(plain), dump({**plain, **nested})], read)


@reader(
    "tokenizer",
    "`tokenizer.json`, read and used by both packages",
    *[mutate_json] * 3,
    mutate_bytes,
)
def _tokenizer(folder: Path) -> Prepared:
    path = folder / layout.TOKENIZER
    write_tokenizer(folder, "compact")
    small = _small_tokenizer(json.loads(path.read_bytes()))

    def read(path: Path) -> None:
        tokenizer = TextTokenizer.load(path)
        ids = tokenizer.encode("hello [uv_break] 你好")
        tokenizer.decode(ids)
        tokenizer.tokens("a")
        assert tokenizer.size > 0
        assert tokenizer.control_tokens is not None
        check_tokenizer(folder, 1000)

    plain = {**small, "truncation": None, "padding": None}
    return Prepared.of_file(path, [dump(small), dump(plain)], read)


def _small_tokenizer(value: dict[str, Any]) -> dict[str, Any]:
    """The written tokenizer with few words, so that most changes fall on its structure."""
    words = [*BASE_TOKENS, *"hello", "##o", "你", "好"]
    value["model"]["vocab"] = {word: i for i, word in enumerate(dict.fromkeys(words))}
    first = len(value["model"]["vocab"])
    value["added_tokens"] = [
        {**entry, "id": first + i}
        for i, entry in enumerate(value["added_tokens"][:_KEPT_TOKENS])
        if entry["content"] in CONTROL_TOKENS
    ]
    value["truncation"] = {
        "direction": "Right", "max_length": 256, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip
    value["padding"] = {
        "strategy": {"Fixed": 256}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    return value


@reader("checkpoint-record", "`checkpoint.json`", mutate_json)
def _record(folder: Path) -> Prepared:
    path = folder / layout.RECORD
    files = {"asset/Vocos.safetensors": FileRecord("0" * 64, 10)}
    write_record(folder, CheckpointRecord("mini", "local", "folder:mini", "1", "CC0-1.0", files))
    return Prepared.of_file(path, [path.read_bytes()], lambda _: read_record(folder))


@reader("lora", "LoRA adapters", mutate_json, mutate_bytes)
def _adapter(folder: Path) -> Prepared:
    """A LoRA adapter's configuration, then (behind a zero byte) its weights."""
    root, adapter = folder / "checkpoint", folder / "adapter"
    (root / layout.GPT).parent.mkdir(parents=True)
    adapter.mkdir()
    weights: dict[str, Any] = {"layers.0.a.weight": np.ones((4, 3), np.float32)}
    plain = save(weights)
    name = "base_model.model.layers.0.a"
    tensors: dict[str, Any] = {
        f"{name}.lora_A.weight": np.ones((2, 3), np.float32),
        f"{name}.lora_B.weight": np.ones((4, 2), np.float32),
    }
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none",
              "rank_pattern": {"a": 2}, "alpha_pattern": {"layers.0.a": 3}}  # fmt: skip

    def read(data: bytes) -> None:
        head, _, tail = data.partition(b"\0")
        (root / layout.GPT).write_bytes(plain)
        (adapter / "adapter_config.json").write_bytes(head)
        (adapter / "adapter_model.safetensors").write_bytes(tail or save(tensors))
        merge_adapter(root, adapter)

    return Prepared((dump(config), dump(config) + b"\0" + save(tensors)), read)


@reader("shards", "indices of sharded checkpoints", mutate_json)
def _shards(folder: Path) -> Prepared:
    first: dict[str, Any] = {"model.a": np.ones(2, np.float32)}
    second: dict[str, Any] = {"model.b": np.ones(3, np.float16)}
    (folder / "1.safetensors").write_bytes(save(first))
    (folder / "2.safetensors").write_bytes(save(second))
    index = folder / "model.safetensors.index.json"

    def read(_: Path) -> None:
        found = open_tensors(folder / "model.safetensors")
        for name in found.names:
            found.array(name)

    weights = {"model.a": "1.safetensors", "model.b": "2.safetensors"}
    seed = dump({"metadata": {"total_size": 14}, "weight_map": weights})
    return Prepared.of_file(index, [seed], read)


@reader("checkpoint-pickle", "checkpoints of PyTorch (`.pt`), converted", mutate_pickle)
def _pickle(folder: Path) -> Prepared:
    """What torch.save writes, of the layouts that are converted, and the old form of it."""
    import torch

    from pipeline.checkpoint.convert import CLEAN, load_pickle

    state = {
        "layers.0.mlp.up_proj.weight": torch.ones(2, 3), "emb_text.weight": torch.ones(3).half(),
        "head_text.weight_g": torch.ones(1), "decoder_block.0.gamma": torch.ones(2),
        "coef": torch.ones(3),
    }  # fmt: skip

    def read(path: Path) -> None:
        tensors = load_pickle(path)
        for clean in CLEAN.values():
            for value in clean(tensors).values():
                value.contiguous().clone()

    def saved(value: object, new: bool) -> bytes:
        target = io.BytesIO()
        torch.save(value, target, _use_new_zipfile_serialization=new)
        return target.getvalue()

    forms = (state, {"state_dict": state, "epoch": 3})
    seeds = [saved(form, new) for form in forms for new in (True, False)]
    return Prepared.of_file(folder / "GPT.pt", seeds, read)
