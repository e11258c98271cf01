"""Adapters of PEFT and what PEFT merges of them, recorded for the tests.

    python tests/pipeline/checkpoint/peft_golden.py

in an environment with torch, transformers and ``peft==0.21.2``, which this project's own lacks,
writes ``tests/pipeline/checkpoint/data/lora``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model  # type: ignore[import-not-found]
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

DATA = Path(__file__).parent / "data" / "lora"
SIZES = {
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 4,
}  # fmt: skip
# What each case asks of PEFT; "causal": the model that the adapter was trained on.
CASES: dict[str, dict[str, Any]] = {
    "plain": {"r": 2, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj"]},
    "all_linear": {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", "causal": True},
    "rslora": {"r": 4, "lora_alpha": 3, "use_rslora": True, "target_modules": ["o_proj"]},
    "patterns": {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "k_proj", "down_proj"],
        "rank_pattern": {"k_proj": 3, "layers.1.self_attn.q_proj": 1},
        "alpha_pattern": {"layers.0.mlp.down_proj": 9, r"layers\.1\..*q_proj": 7},
    },
    "full_names": {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["gate_proj"],
        "rank_pattern": {"model.layers.1.mlp.gate_proj": 3},
        "causal": True,
    },
    "saved_norm": {
        "r": 1,
        "lora_alpha": 2,
        "target_modules": ["up_proj"],
        "modules_to_save": ["norm"],
    },
    "half": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "dtype": "bfloat16"},
    "dora": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "use_dora": True},
    "embedding": {"r": 2, "lora_alpha": 4, "target_modules": ["embed_tokens"]},
}


def record(name: str, case: dict[str, Any]) -> None:
    """Write base, adapter and PEFT's merge of one case."""
    settings = dict(case)
    causal, dtype = settings.pop("causal", False), settings.pop("dtype", "float32")
    torch.manual_seed(len(name))
    config = LlamaConfig(**SIZES, tie_word_embeddings=False)
    model: Any = LlamaForCausalLM(config) if causal else LlamaModel(config)
    folder = DATA / name
    save_file(_plain(model), folder.with_name(f"{name}.base.safetensors"))
    wrapped = get_peft_model(model, LoraConfig(**settings))
    with torch.no_grad():
        for parameter_name, parameter in wrapped.named_parameters():
            if "lora_" in parameter_name or "modules_to_save" in parameter_name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
                if dtype != "float32":
                    parameter.copy_(parameter.to(getattr(torch, dtype)).float())
    wrapped.save_pretrained(folder)
    if dtype != "float32":
        from safetensors.torch import load_file

        path = folder / "adapter_model.safetensors"
        save_file({k: v.to(getattr(torch, dtype)) for k, v in load_file(path).items()}, path)
    merged = wrapped.merge_and_unload()
    save_file(_plain(merged), folder.with_name(f"{name}.merged.safetensors"))
    for path in folder.iterdir():
        if path.name not in ("adapter_config.json", "adapter_model.safetensors"):
            path.unlink()
    text = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


def _plain(model: Any) -> dict[str, Any]:
    inner = model.model if hasattr(model, "model") else model
    state = inner.state_dict()
    return {k: v.float().contiguous().clone() for k, v in state.items() if "embed" not in k}


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    for case_name, case_settings in CASES.items():
        record(case_name, case_settings)
