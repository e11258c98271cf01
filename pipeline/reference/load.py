"""Checkpoint files into the reference modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from pipeline.checkpoint import layout
from pipeline.checkpoint.dims import CheckpointDims, load_dims, open_all
from pipeline.checkpoint.tensors import TensorFile
from pipeline.core.errors import CheckpointError
from pipeline.reference.dvae import DVAE, Decoder
from pipeline.reference.gpt import Gpt, Projection
from pipeline.reference.vocos import Vocos

SPEAKER_TOKEN = "[spk_emb]"
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Modules:
    """The modules of one checkpoint, in evaluation mode."""

    dims: CheckpointDims
    gpt: Gpt
    text_head: Projection
    decoder: Decoder
    dvae: DVAE
    vocos: Vocos


def load_modules(folder: Path) -> Modules:
    """Build the FP32 modules of the checkpoint in ``folder``.

    Raises:
        CheckpointError: the checkpoint is damaged or not in the official layout.
    """
    dims = load_dims(folder)
    root = layout.find_root(folder)
    files = open_all(root)
    with torch.device("meta"):
        text_head = Projection(dims.hidden_size, dims.num_text_tokens)
    embed = files[layout.EMBED]
    text_head.load_state_dict({"weight": _head_weight(embed, "head_text")}, assign=True)
    return Modules(
        dims,
        _load_gpt(dims, files, speaker_token_id(root)),
        text_head.eval(),
        _load(Decoder(dims), files[layout.DECODER]),
        _load(DVAE(dims), files[layout.DVAE], {"vq_layer.quantizer.": "quantizer."}),
        _load(Vocos(dims), files[layout.VOCOS]),
    )


def speaker_token_id(root: Path) -> int:
    """Id of the token that a speaker's vector overwrites.

    Raises:
        CheckpointError: the tokenizer lacks it.
    """
    token = Tokenizer.from_file(str(root / layout.TOKENIZER)).token_to_id(SPEAKER_TOKEN)
    if token is None:
        raise CheckpointError(
            f"{layout.TOKENIZER}: found no token {SPEAKER_TOKEN}, expected ChatTTS's control tokens"
        )
    return int(token)


def _load_gpt(dims: CheckpointDims, files: dict[str, TensorFile], speaker_id: int) -> Gpt:
    gpt = Gpt(dims, speaker_id)
    embed = files[layout.EMBED]
    books = range(dims.num_vq)
    state = _tensors(files[layout.GPT], set(gpt.state_dict()))
    state["embed.emb_text.weight"] = _tensor(embed, "emb_text.weight")
    state["embed.emb_code.weight"] = torch.cat(
        [_tensor(embed, f"emb_code.{i}.weight") for i in books]
    )
    state["head_code.weight"] = torch.cat([_head_weight(embed, f"head_code.{i}") for i in books])
    gpt.load_state_dict(state, assign=True)
    return gpt.eval()


def _head_weight(embed: TensorFile, name: str) -> Tensor:
    """Resolve weight norm (Salimans & Kingma 2016): W = g · v / ‖v‖ per row, in float64."""
    gain = embed.array(f"{name}.parametrizations.weight.original0").astype(np.float64)
    direction = embed.array(f"{name}.parametrizations.weight.original1").astype(np.float64)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    return torch.from_numpy((gain * direction / length).astype(np.float32))


def _load(module: M, file: TensorFile, rename: dict[str, str] | None = None) -> M:
    wanted = set(module.state_dict())
    module.load_state_dict(_tensors(file, wanted, rename or {}), assign=True)
    return module.eval()


def _tensors(
    file: TensorFile, wanted: set[str], rename: dict[str, str] | None = None
) -> dict[str, Tensor]:
    """Read the tensors that ``wanted`` names; files carry more than the modules use."""
    found = {}
    for name in file.names:
        own = name
        for theirs, ours in (rename or {}).items():
            own = own.replace(theirs, ours, 1) if own.startswith(theirs) else own
        if own in wanted:
            found[own] = _tensor(file, name)
    return found


def _tensor(file: TensorFile, name: str) -> Tensor:
    return torch.from_numpy(file.array(name))
