"""The official checkpoint layout: file names, and the sizes that its tensors reveal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

GPT_FOLDER = "asset/gpt"
TOKENIZER_FOLDER = "asset/tokenizer"
EMBED = "asset/Embed.safetensors"
DECODER = "asset/Decoder.safetensors"
DVAE = "asset/DVAE.safetensors"
VOCOS = "asset/Vocos.safetensors"
HASHED_FILES = (
    DECODER,
    DVAE,
    EMBED,
    VOCOS,
    f"{GPT_FOLDER}/config.json",
    f"{GPT_FOLDER}/model.safetensors",
    f"{TOKENIZER_FOLDER}/special_tokens_map.json",
    f"{TOKENIZER_FOLDER}/tokenizer_config.json",
    f"{TOKENIZER_FOLDER}/tokenizer.json",
)


@dataclass(frozen=True)
class ConvSizes:
    """One stack of ConvNeXt blocks with its input and output convolutions."""

    idim: int
    odim: int
    hidden: int
    n_layer: int
    bn_dim: int


@dataclass(frozen=True)
class VocosSizes:
    """The vocoder's backbone and head."""

    input_channels: int
    dim: int
    intermediate_dim: int
    num_layers: int
    n_fft: int
    hop_length: int


@dataclass(frozen=True)
class GptSizes:
    """The language model, its embeddings and its heads."""

    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    num_audio_tokens: int
    num_text_tokens: int
    num_vq: int


@dataclass(frozen=True)
class Sizes:
    """All sizes that the official constructors need."""

    gpt: GptSizes
    decoder: ConvSizes
    dvae_decoder: ConvSizes
    dvae_encoder: ConvSizes
    vocos: VocosSizes
    vq_dim: int
    vq_groups: int
    vq_residuals: int


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, without reading its data."""
    with safe_open(str(path), framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_sizes(checkpoint: Path, hop_length: int = 256) -> Sizes:
    """Read every size from `gpt/config.json` and the tensor shapes of a checkpoint folder.

    `hop_length` is the only one that no tensor reveals.
    """
    config = json.loads((checkpoint / GPT_FOLDER / "config.json").read_text(encoding="utf-8"))
    embed = tensor_shapes(checkpoint / EMBED)
    decoder = tensor_shapes(checkpoint / DECODER)
    dvae = tensor_shapes(checkpoint / DVAE)
    num_vq = _layers(embed, r"emb_code\.(\d+)\.weight")
    groups = _layers(dvae, r"vq_layer\.quantizer\.rvqs\.(\d+)\.project_in\.weight")
    return Sizes(
        gpt=GptSizes(
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            num_attention_heads=config["num_attention_heads"],
            num_hidden_layers=config["num_hidden_layers"],
            max_position_embeddings=config["max_position_embeddings"],
            num_audio_tokens=embed["emb_code.0.weight"][0],
            num_text_tokens=embed["emb_text.weight"][0],
            num_vq=num_vq,
        ),
        decoder=_conv_sizes(decoder, "decoder."),
        dvae_decoder=_conv_sizes(dvae, "decoder."),
        dvae_encoder=_conv_sizes(dvae, "encoder."),
        vocos=_vocos_sizes(tensor_shapes(checkpoint / VOCOS), hop_length),
        vq_dim=dvae["encoder.conv_out.weight"][0],
        vq_groups=groups,
        vq_residuals=num_vq // groups,
    )


def _conv_sizes(shapes: dict[str, tuple[int, ...]], prefix: str) -> ConvSizes:
    first = shapes[f"{prefix}conv_in.0.weight"]
    last = shapes[f"{prefix}conv_out.weight"]
    blocks = _layers(shapes, re.escape(prefix) + r"decoder_block\.(\d+)\.norm\.weight")
    return ConvSizes(idim=first[1], odim=last[0], hidden=last[1], n_layer=blocks, bn_dim=first[0])


def _vocos_sizes(shapes: dict[str, tuple[int, ...]], hop_length: int) -> VocosSizes:
    embed = shapes["backbone.embed.weight"]
    return VocosSizes(
        input_channels=embed[1],
        dim=embed[0],
        intermediate_dim=shapes["backbone.convnext.0.pwconv1.weight"][0],
        num_layers=_layers(shapes, r"backbone\.convnext\.(\d+)\.norm\.weight"),
        n_fft=shapes["head.istft.window"][0],
        hop_length=hop_length,
    )


def _layers(names: Iterable[str], pattern: str) -> int:
    return len({match[1] for name in names if (match := re.fullmatch(pattern, name))})
