"""LoRA adapters of PEFT, merged into the GPT: W + (alpha / r) B A.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; with ``use_rslora`` alpha / sqrt(r), Kalajdzievski
2023, https://arxiv.org/abs/2312.03732. What changes weights in another way is refused by name,
since leaving it out would export a model that is not the one that was trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from chattts_onnx.untrusted import brief, brief_text, parse_json, read_limited, stand_in
from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.record import combine, hash_file
from pipeline.checkpoint.tensors import WRAPPERS, TensorFile, open_tensors, read_entries, shards
from pipeline.core.errors import CheckpointError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_MAX_CONFIG_BYTES = 1 << 20
# a part of a module's name: PEFT's adapters have one name each, "default" unless given
_PART = re.compile(r"(?P<module>.+)\.lora_(?P<part>A|B)(?:\.(?!weight$)[^.]+)?\.weight")
_MODEL = re.compile(r"^base_model\.model\.")
_SAVED = re.compile(r"\.modules_to_save(?:\.[^.]+)?(?=\.)")
# settings that mean more than B A: what they must be, None standing for any false value
_PLAIN = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "use_dora": None, "lora_bias": None, "fan_in_fan_out": None, "layer_replication": None,
    "trainable_token_indices": None, "target_parameters": None, "use_qalora": None,
    "alora_invocation_tokens": None, "arrow_config": None, "use_bdlora": None,
    "kasa_config": None, "monteclora_config": None, "velora_config": None,
}  # fmt: skip
# starts that change the base weights, so that B A alone is not what was learned
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def adapter_fingerprint(folder: Path) -> str:
    """Return a hash over an adapter's two files.

    Raises:
        CheckpointError: one is not there.
    """
    folder = folder.expanduser()
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            pickle = " (adapter_model.bin is a pickle: save it again with safe_serialization=True)"
            hint = pickle if (folder / "adapter_model.bin").is_file() else ""
            raise CheckpointError(
                f"checkpoint.lora: found no {name} in {folder}, expected a folder that PEFT's "
                f"save_pretrained wrote{hint}"
            )
    return combine({name: hash_file(folder / name) for name in (CONFIG, WEIGHTS)})


def refuse_adapter(config: CheckpointConfig) -> None:
    """Raise :class:`CheckpointError` for an adapter in the folder that nobody asked for."""
    if config.kind != "local":
        return
    root = layout.find_root(Path(config.path or "").expanduser())
    for folder in (root, root / "asset", (root / layout.GPT).parent):
        if (folder / WEIGHTS).is_file():
            raise CheckpointError(
                f"{folder / WEIGHTS}: found an adapter beside the weights, which don't contain it; "
                "give its folder as checkpoint.lora=FOLDER to merge it, or move it away if they do"
            )


def merge_adapter(root: Path, folder: Path, expected: str | None = None) -> None:
    """Replace the GPT of the checkpoint in ``root`` by one with the adapter in ``folder`` merged.

    Args:
        root: the folder above ``asset/``; its GPT becomes one file of F32.
        folder: what PEFT's ``save_pretrained`` wrote.
        expected: fingerprint of ``folder``, None to take any.

    Raises:
        CheckpointError: the adapter is damaged, of another kind than LoRA, or does not fit.
    """
    found = adapter_fingerprint(folder)
    if expected and found != expected:
        raise CheckpointError(
            f"{folder}: found content {found[:16]}, expected {expected[:16]} as params.yaml says; "
            "the adapter has changed since, compose params.yaml again"
        )
    config = _read_config(folder / CONFIG)
    base = open_tensors(root / layout.GPT, layout.GPT)
    path = folder / WEIGHTS
    adapter = TensorFile(path, read_entries(path, str(path)), str(path))
    merged = {name: base.array(name) for name in base.names if name != "embed_tokens.weight"}
    _merge(merged, adapter, config)
    parts = shards(root / layout.GPT, layout.GPT)
    for part in parts:
        part.unlink()
    (root / f"{layout.GPT}.index.json").unlink(missing_ok=True)
    save_file(merged, root / layout.GPT, metadata={"format": "pt"})


def _read_config(path: Path) -> dict[str, Any]:
    try:
        data = read_limited(path, _MAX_CONFIG_BYTES)
        if (found := stand_in(data)) is not None:
            raise ValueError(found)
        config = parse_json(data)
        if not isinstance(config, dict):
            raise ValueError(f"it is a {type(config).__name__}")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: found no usable configuration ({error})") from error
    for key, allowed in _PLAIN.items():
        value = config.get(key)
        if value and (allowed is None or value not in allowed):
            expected = allowed[0] if allowed else "nothing"
            raise CheckpointError(
                f"{path}: {key}: found {brief(value)}, expected {expected}; "
                "merge it where it was trained (PEFT: model.merge_and_unload())"
            )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise CheckpointError(
            f"{path}: init_lora_weights: found {brief(start)}, which changes the base weights; "
            "merge it where it was trained (PEFT: model.merge_and_unload())"
        )
    return config


def _merge(
    weights: dict[str, NDArray[np.float32]], adapter: TensorFile, config: dict[str, Any]
) -> None:
    pairs: dict[str, dict[str, str]] = {}
    paths: dict[str, str] = {}
    for name in adapter.names:
        plain = WRAPPERS.sub("", name)
        if (match := _PART.fullmatch(plain)) is not None:
            part = pairs.setdefault(match["module"], {})
            if match["part"] in part:
                raise CheckpointError(
                    f"{adapter.label}: found two adapters for {brief_text(match['module'])}, "
                    "expected one; merge them where they were trained"
                )
            part[match["part"]] = name
            # as PEFT's patterns know it
            paths[match["module"]] = _MODEL.sub("", name.partition(".lora_")[0])
            continue
        target = _SAVED.sub("", plain)
        _require_shape(adapter, name, weights.get(target), target)
        weights[target] = adapter.array(name)
    if not pairs:
        raise CheckpointError(f"{adapter.label}: found no pair of lora_A and lora_B to merge")
    for module, part in pairs.items():
        target = f"{module}.weight"
        if set(part) != {"A", "B"} or target not in weights:
            raise CheckpointError(
                f"{adapter.label}: found {' and '.join(sorted(part))} of an adapter for "
                f"{brief_text(module)}, expected A and B for a matrix of {layout.GPT}"
            )
        down, up = adapter.array(part["A"]), adapter.array(part["B"])
        weight, rank = weights[target], _of_module(config, "r", "rank_pattern", paths[module])
        if down.shape != (rank, weight.shape[-1]) or up.shape != (weight.shape[0], rank):
            raise CheckpointError(
                f"{adapter.label}: {brief_text(module)}: found A {list(down.shape)} and B "
                f"{list(up.shape)}, expected rank {rank} for a matrix {list(weight.shape)}"
            )
        alpha = _of_module(config, "lora_alpha", "alpha_pattern", paths[module])
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        change = scale * (up.astype(np.float64) @ down.astype(np.float64))
        weights[target] = (weight + change).astype(np.float32)


def _require_shape(
    adapter: TensorFile, name: str, weight: NDArray[np.float32] | None, target: str
) -> None:
    shape = adapter.entries[name].shape
    if weight is None or weight.shape != shape:
        expected = (
            "a pair of lora_A and lora_B" if weight is None else f"shape {list(weight.shape)}"
        )
        raise CheckpointError(
            f"{adapter.label}: tensor {brief_text(name)}: found {brief_text(target)} of shape "
            f"{list(shape)}, expected {expected} for {layout.GPT}; merge it where it was trained"
        )


def _of_module(config: Mapping[str, Any], key: str, pattern: str, module: str) -> Any:
    """A setting of a module: of the first pattern that its name ends with, else of all.

    PEFT's patterns are regular expressions for the end of a name, or the name itself.
    """
    value = config.get(key)
    patterns = config.get(pattern) or {}
    try:
        for expression, own in patterns.items():
            if re.fullmatch(rf"(?:.*\.)?(?:{expression})", module):
                value = own
                break
    except (re.error, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{CONFIG}: {pattern}: found no usable patterns ({error})") from error
    kinds = (int,) if key == "r" else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not 0 < value < 1e6:
        raise CheckpointError(f"{CONFIG}: {key}: found {brief(value)}, expected a positive number")
    return value
