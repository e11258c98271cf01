"""Open any checkpoint in the official layout with the official package."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, replace
from pathlib import Path

import ChatTTS
import pybase16384
import torch
from ChatTTS.config import Config

from peer.layout import HASHED_FILES, Sizes, read_sizes


def load_chat(checkpoint: Path) -> ChatTTS.Chat:
    """Load `checkpoint` (folder that holds `asset/`) into an official `Chat` on the CPU.

    The package accepts only files whose hashes it knows, and only the official sizes; both are
    public attributes of `Chat`, set here to what the folder holds.

    Raises:
        RuntimeError: the official loader refused the folder.
    """
    chat = ChatTTS.Chat(logging.getLogger("chattts"))
    sizes = read_sizes(checkpoint)
    chat.config = official_config(sizes)
    chat.sha256_map = hash_map(checkpoint)
    loaded = chat.load(
        source="custom", custom_path=str(checkpoint), device=torch.device("cpu"), compile=False
    )
    if not loaded:
        raise RuntimeError(f"the official package could not load {checkpoint}")
    return chat


def official_config(sizes: Sizes) -> Config:
    """The official configuration object for a checkpoint of these sizes."""
    base = Config()
    gpt = sizes.gpt
    embed_fields = ("hidden_size", "num_audio_tokens", "num_text_tokens", "num_vq")
    vocos = sizes.vocos
    extractor, backbone, head = base.vocos.feature_extractor, base.vocos.backbone, base.vocos.head
    frames = {"n_fft": vocos.n_fft, "hop_length": vocos.hop_length}
    return replace(
        base,
        gpt=replace(base.gpt, **asdict(gpt)),
        embed=replace(base.embed, **{name: getattr(gpt, name) for name in embed_fields}),
        decoder=replace(base.decoder, **asdict(sizes.decoder)),
        dvae=replace(
            base.dvae,
            encoder=replace(base.dvae.encoder, **asdict(sizes.dvae_encoder)),
            decoder=replace(base.dvae.decoder, **asdict(sizes.dvae_decoder)),
            vq=replace(base.dvae.vq, dim=sizes.vq_dim, G=sizes.vq_groups, R=sizes.vq_residuals),
        ),
        vocos=replace(
            base.vocos,
            feature_extractor=replace(
                extractor,
                init_args=replace(extractor.init_args, n_mels=vocos.input_channels, **frames),
            ),
            backbone=replace(
                backbone,
                init_args=replace(
                    backbone.init_args,
                    input_channels=vocos.input_channels,
                    dim=vocos.dim,
                    intermediate_dim=vocos.intermediate_dim,
                    num_layers=vocos.num_layers,
                ),
            ),
            head=replace(head, init_args=replace(head.init_args, dim=vocos.dim, **frames)),
        ),
        spk_stat=speaker_statistics(gpt.hidden_size),
    )


def speaker_statistics(hidden_size: int) -> str:
    """A speaker distribution (standard deviation 1, mean 0) in the official text form."""
    halves = torch.cat([torch.ones(hidden_size), torch.zeros(hidden_size)]).half()
    return str(pybase16384.encode_to_string(halves.numpy().tobytes()))


def hash_map(checkpoint: Path) -> dict[str, str]:
    """SHA-256 of each file of `checkpoint`, under the keys that the official check looks up."""
    return {
        "sha256_" + name.replace("/", "_").replace(".", "_"): _sha256(checkpoint / name)
        for name in HASHED_FILES
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
