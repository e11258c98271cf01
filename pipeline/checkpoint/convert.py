"""``python -m pipeline.checkpoint.convert``: pickles of PyTorch to the official layout.

Old releases of ChatTTS and their fine-tunes come as ``asset/GPT.pt``, ``Decoder.pt``,
``DVAE_full.pt`` (or ``DVAE.pt``), ``Vocos.pt`` and ``spk_stat.pt``; newer ones may have a ``.pt``
beside or in place of any file of the layout.  They are read with ``weights_only``, which runs no
code of theirs.  ``tokenizer.pt`` can't be read so: the tokenizer, and whatever else is missing,
comes from ``--base``, a checkpoint in the official layout.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from chattts_onnx.errors import ChatTTSError
from chattts_onnx.untrusted import brief_text
from chattts_onnx.voices import base16384
from pipeline.checkpoint import layout
from pipeline.checkpoint.local import place, verify
from pipeline.checkpoint.tensors import WRAPPERS, open_tensors
from pipeline.core import atomic
from pipeline.core.atomic import output_directory
from pipeline.core.errors import CheckpointError

Tensors = dict[str, torch.Tensor]
# where a file of the layout may come from, in the order in which they are looked for
PICKLES = {
    layout.GPT: ("gpt/pytorch_model.bin", "gpt/model.pt", "GPT.pt", "gpt.pt"),
    layout.EMBED: ("Embed.pt", "GPT.pt", "gpt.pt"),
    layout.DECODER: ("Decoder.pt", "decoder.pt"),
    layout.DVAE: ("DVAE_full.pt", "DVAE.pt", "dvae.pt"),
    layout.VOCOS: ("Vocos.pt", "vocos.pt"),
}
STATISTICS = "spk_stat.pt"
# what trainers save a state beside
_STATES = ("state_dict", "model_state_dict", "model", "module")
_EMBED = re.compile(r"(?:emb_text|emb_code|head_text|head_code)\.")
_SCALE = re.compile(r"(decoder_block\.\d+)\.gamma$")
_GPT = re.compile(r"(?:layers\.\d+|norm|embed_tokens)\.")
# Llama of transformers, as ChatTTS has it
_HEAD_DIM, _POSITIONS = 64, 4096


def convert(source: Path, destination: Path, base: Path | None = None) -> list[str]:
    """Write a checkpoint in the official layout from pickles.

    Args:
        source: the folder with ``asset/``, ``asset`` itself, or any folder with the pickles.
        destination: a new folder.
        base: a checkpoint in the official layout for what ``source`` lacks.

    Returns:
        What came from where, a line a file.

    Raises:
        CheckpointError: a pickle holds more than tensors, a file is nowhere, or the result is no
            sound checkpoint.
    """
    if destination.exists():
        raise CheckpointError(f"{destination}: found it already, expected a new folder")
    if not source.is_dir():
        raise CheckpointError(f"{source}: found no folder, expected one with pickles of ChatTTS")
    assets = source / "asset" if (source / "asset").is_dir() else source
    below = None if base is None else layout.find_root(base)
    lines = []
    with output_directory(destination) as scratch:
        for name in layout.TENSOR_FILES:
            lines.append(f"{name}: {_tensors(name, assets, below, scratch / name)}")
        for name in (layout.TOKENIZER, *layout.OPTIONAL_FILES):
            if (found := _plain(name, assets, below)) is not None:
                place(found, scratch / name, lambda amount: None)
                lines.append(f"{name}: {found}")
        lines.append(f"{layout.GPT_CONFIG}: {_config(assets, below, scratch)}")
        if (assets / STATISTICS).is_file():
            lines.append(f"{layout.VOICES}/statistics.txt: {_statistics(assets, scratch)}")
        verify(scratch)
    return lines


def _plain(name: str, assets: Path, base: Path | None) -> Path | None:
    """A file of the layout as it is, of the source or of the base."""
    own = assets / Path(name).relative_to("asset")
    found = [own] if base is None else [own, base / name]
    return next((path for path in found if path.is_file()), None)


def _tensors(name: str, assets: Path, base: Path | None, target: Path) -> str:
    own = assets / Path(name).relative_to("asset")
    pickles = [assets / pickle for pickle in PICKLES[name] if (assets / pickle).is_file()]
    if not own.is_file() and pickles:
        tensors = CLEAN[name](load_pickle(pickles[0]))
        if not tensors:
            raise CheckpointError(f"{pickles[0]}: found no tensor of {name} in it")
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, target)
        return str(pickles[0])
    if (found := _plain(name, assets, base)) is None:
        names = ", ".join(PICKLES[name])
        raise CheckpointError(
            f"{name}: found neither it nor any of {names} in {assets}; give a checkpoint that has "
            "it as --base FOLDER"
        )
    place(found, target, lambda amount: None)
    return str(found)


def load_pickle(path: Path) -> Tensors:
    """The tensors of a pickle that holds nothing else; :class:`CheckpointError` otherwise."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises depends on how it fails
        raise CheckpointError(
            f"{path}: found no pickle of tensors alone ({brief_text(error, 300)}), expected what "
            "torch.load reads with weights_only"
        ) from error
    for key in _STATES:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: found {type(state).__name__}, expected a state dict")
    tensors = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}
    if adapters := [name for name in tensors if ".lora_" in name]:
        raise CheckpointError(
            f"{path}: found {len(adapters)} tensors of an adapter that is not merged, such as "
            f"{brief_text(adapters[0])}; merge it where it was trained (model.merge_and_unload())"
        )
    return {WRAPPERS.sub("", name).replace(".base_layer.", "."): v for name, v in tensors.items()}


def _gpt(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if _GPT.match(name)}


def _embed(tensors: Tensors) -> Tensors:
    """Embeddings and heads; weight norm of older PyTorch has other names."""
    old = {".weight_g": "0", ".weight_v": "1"}
    found = {}
    for name, value in tensors.items():
        if _EMBED.match(name):
            head, number = name[: -len(".weight_g")], old.get(name[-len(".weight_g") :])
            part = f"{head}.parametrizations.weight.original{number}"
            found[part if number else name] = value
    return found


def _mel(tensors: Tensors) -> Tensors:
    """Decoder and DVAE: the layer scale was called gamma, ``coef`` had one axis."""
    found = {
        re.sub(r"(decoder_block\.\d+)\.gamma$", r"\1.weight", k): v for k, v in tensors.items()
    }
    if "coef" in found:
        found["coef"] = found["coef"].reshape(1, -1, 1)
    return found


CLEAN: dict[str, Callable[[Tensors], Tensors]] = {
    layout.GPT: _gpt, layout.EMBED: _embed, layout.DECODER: _mel, layout.DVAE: _mel,
    layout.VOCOS: dict,
}  # fmt: skip


def _config(assets: Path, base: Path | None, scratch: Path) -> str:
    """The configuration of the source or base; else ChatTTS's own, sizes read from the tensors."""
    target = scratch / layout.GPT_CONFIG
    if (found := _plain(layout.GPT_CONFIG, assets, base)) is not None:
        place(found, target, lambda amount: None)
        return str(found)
    gpt = open_tensors(scratch / layout.GPT, layout.GPT)
    mlp, hidden = gpt.shape("layers.0.mlp.up_proj.weight", 2)
    config = {
        "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden,
        "intermediate_size": mlp, "num_hidden_layers": layout.count_layers(gpt.entries, "layers"),
        "num_attention_heads": hidden // _HEAD_DIM, "num_key_value_heads": hidden // _HEAD_DIM,
        "max_position_embeddings": _POSITIONS, "rope_theta": 10000.0, "rms_norm_eps": 1e-6,
    }  # fmt: skip
    atomic.write_json(target, config)
    return "made from the tensors' sizes, all else as in the official one"


def _statistics(assets: Path, scratch: Path) -> str:
    """Standard deviation and mean of speakers, [2 * hidden], as text of FP16."""
    path = assets / STATISTICS
    try:
        values = torch.load(path, map_location="cpu", weights_only=True).flatten().numpy()
    except Exception as error:  # what torch raises depends on how it fails
        raise CheckpointError(f"{path}: found no tensor ({brief_text(error, 300)})") from error
    target = scratch / layout.VOICES / "statistics.txt"
    text = base16384.encode(np.asarray(values, "<f2").tobytes())
    atomic.write_text(target, text + "\n")
    return str(path)


def main(arguments: list[str] | None = None) -> int:
    """Entry point: say what came from where; exit status 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.checkpoint.convert")
    parser.description = (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("source", type=Path, help="folder with the pickles")
    parser.add_argument("destination", type=Path, help="new folder, for CHECKPOINT_DIR=")
    parser.add_argument("--base", type=Path, help="checkpoint in the official layout for the rest")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(convert(options.source, options.destination, options.base)))
    except ChatTTSError as error:
        print(f"convert: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
