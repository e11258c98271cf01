"""The official layout: file names, tensor names, and shapes as a function of the dimensions.

Source: the headers of the published files of 2Noise/ChatTTS. This is the only module that spells
these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import CheckpointError

if TYPE_CHECKING:
    from pipeline.checkpoint.dims import CheckpointDims, ConvNeXtDims

Shapes = dict[str, tuple[int, ...]]

GPT_CONFIG = "asset/gpt/config.json"
GPT = "asset/gpt/model.safetensors"
EMBED = "asset/Embed.safetensors"
DECODER = "asset/Decoder.safetensors"
DVAE = "asset/DVAE.safetensors"
VOCOS = "asset/Vocos.safetensors"
TOKENIZER = "asset/tokenizer/tokenizer.json"
TOKENIZER_CONFIG = "asset/tokenizer/tokenizer_config.json"
SPECIAL_TOKENS = "asset/tokenizer/special_tokens_map.json"
RECORD = "checkpoint.json"
# not in the official layout: named voices that come with a checkpoint, and speaker statistics
VOICES = "voices"

TENSOR_FILES = (GPT, EMBED, DECODER, DVAE, VOCOS)
REQUIRED_FILES = (GPT_CONFIG, *TENSOR_FILES, TOKENIZER)
# transformers writes these two beside tokenizer.json; everything they say stands in it already
OPTIONAL_FILES = (TOKENIZER_CONFIG, SPECIAL_TOKENS)
FILES = REQUIRED_FILES + OPTIONAL_FILES

VOICE_SUFFIXES = (".csv", ".json", ".txt")

PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")


def voice_files(root: Path) -> list[str]:
    """Return the files of named voices beside ``asset/``, relative to ``root``."""
    found = (path for path in (root / VOICES).glob("*") if path.suffix in VOICE_SUFFIXES)
    return sorted(f"{VOICES}/{path.name}" for path in found if path.is_file())


def find_root(folder: Path) -> Path:
    """Return the folder that holds ``asset/``; ``folder`` may be that folder or ``asset`` itself.

    Raises:
        CheckpointError: ``folder`` is not there or holds no checkpoint.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: found no folder, expected a checkpoint in the official layout "
            f"({GPT_CONFIG}, ...); check the path"
        )
    if (folder / "asset").is_dir():
        return folder
    resolved = folder.resolve()
    if resolved.name == "asset":
        return resolved.parent
    raise CheckpointError(
        f"{folder}: found no folder 'asset', expected the official layout ({GPT_CONFIG}, {EMBED}, "
        "...); give the folder that holds 'asset'"
    )


def gpt_shapes(dims: CheckpointDims) -> Shapes:
    """Tensors of ``asset/gpt/model.safetensors``: a Llama without its embedding and head."""
    hidden, mlp = dims.hidden_size, dims.intermediate_size
    query = dims.num_attention_heads * dims.head_dim
    key_value = dims.num_key_value_heads * dims.head_dim
    shapes: Shapes = {}
    for layer in range(dims.num_hidden_layers):
        prefix = f"layers.{layer}"
        shapes |= {
            f"{prefix}.input_layernorm.weight": (hidden,),
            f"{prefix}.self_attn.q_proj.weight": (query, hidden),
            f"{prefix}.self_attn.k_proj.weight": (key_value, hidden),
            f"{prefix}.self_attn.v_proj.weight": (key_value, hidden),
            f"{prefix}.self_attn.o_proj.weight": (hidden, query),
            f"{prefix}.post_attention_layernorm.weight": (hidden,),
            f"{prefix}.mlp.gate_proj.weight": (mlp, hidden),
            f"{prefix}.mlp.up_proj.weight": (mlp, hidden),
            f"{prefix}.mlp.down_proj.weight": (hidden, mlp),
        }
    shapes["norm.weight"] = (hidden,)
    return shapes


def embed_shapes(dims: CheckpointDims) -> Shapes:
    """Tensors of ``asset/Embed.safetensors``: embeddings, and heads under weight norm.

    ``original0`` is the gain g ``[out, 1]``, ``original1`` the direction v ``[out, hidden]``.
    """
    hidden = dims.hidden_size
    shapes: Shapes = {"emb_text.weight": (dims.num_text_tokens, hidden)}
    heads = {"head_text": dims.num_text_tokens}
    for index in range(dims.num_vq):
        shapes[f"emb_code.{index}.weight"] = (dims.num_audio_tokens, hidden)
        heads[f"head_code.{index}"] = dims.num_audio_tokens
    for name, rows in heads.items():
        shapes[f"{name}.parametrizations.weight.original0"] = (rows, 1)
        shapes[f"{name}.parametrizations.weight.original1"] = (rows, hidden)
    return shapes


def _linear(name: str, *weight: int) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _blocks(prefix: str, scale: str, dims: ConvNeXtDims) -> Shapes:
    shapes: Shapes = {}
    hidden = dims.hidden
    for layer in range(dims.num_layers):
        block = f"{prefix}.{layer}"
        shapes |= _linear(f"{block}.dwconv", hidden, 1, dims.kernel)
        shapes |= _norm(f"{block}.norm", hidden)
        shapes |= _linear(f"{block}.pwconv1", dims.intermediate, hidden)
        shapes |= _linear(f"{block}.pwconv2", hidden, dims.intermediate)
        shapes[f"{block}.{scale}"] = (hidden,)
    return shapes


def _stack(prefix: str, in_channels: int, out_channels: int, dims: ConvNeXtDims) -> Shapes:
    shapes = _linear(f"{prefix}.conv_in.0", dims.bottleneck, in_channels, 3)
    shapes |= _linear(f"{prefix}.conv_in.2", dims.hidden, dims.bottleneck, 3)
    shapes |= _blocks(f"{prefix}.decoder_block", "weight", dims)
    shapes[f"{prefix}.conv_out.weight"] = (out_channels, dims.hidden, 1)
    return shapes


def decoder_shapes(dims: CheckpointDims) -> Shapes:
    """Tensors of ``asset/Decoder.safetensors``: GPT hidden states to mel."""
    width = dims.hidden_size // 2
    shapes: Shapes = {"coef": (1, dims.num_mels, 1)}
    shapes |= _stack("decoder", width, dims.decoder.out_channels, dims.decoder)
    shapes["out_conv.weight"] = (dims.num_mels, dims.decoder.out_channels, 3)
    return shapes


def dvae_shapes(dims: CheckpointDims) -> Shapes:
    """Tensors of ``asset/DVAE.safetensors``: codes to mel, and mel to codes."""
    width = dims.vq.dim // 2
    shapes: Shapes = {"coef": (1, dims.num_mels, 1)}
    shapes |= _stack("decoder", width, dims.dvae_decoder.out_channels, dims.dvae_decoder)
    shapes["out_conv.weight"] = (dims.num_mels, dims.dvae_decoder.out_channels, 3)
    shapes |= _linear("downsample_conv.0", width, dims.num_mels, 3)
    shapes |= _linear("downsample_conv.2", width, width, 4)
    shapes |= _stack("encoder", width, dims.vq.dim, dims.dvae_encoder)
    group, levels = dims.vq.dim // dims.vq.groups, len(dims.vq.levels)
    for index in range(dims.vq.groups):
        shapes |= _linear(f"vq_layer.quantizer.rvqs.{index}.project_in", levels, group)
        shapes |= _linear(f"vq_layer.quantizer.rvqs.{index}.project_out", group, levels)
    return shapes


def vocos_shapes(dims: CheckpointDims) -> Shapes:
    """Tensors of ``asset/Vocos.safetensors``: mel to log-magnitude and phase."""
    vocos = dims.vocos
    shapes = _linear("backbone.embed", vocos.hidden, dims.num_mels, vocos.kernel)
    shapes |= _norm("backbone.norm", vocos.hidden)
    shapes |= _blocks("backbone.convnext", "gamma", vocos)
    shapes |= _norm("backbone.final_layer_norm", vocos.hidden)
    shapes |= _linear("head.out", dims.n_fft + 2, vocos.hidden)
    return shapes


def required_shapes(dims: CheckpointDims) -> dict[str, Shapes]:
    """Every tensor that the model uses: file -> tensor name -> shape."""
    return {
        GPT: gpt_shapes(dims),
        EMBED: embed_shapes(dims),
        DECODER: decoder_shapes(dims),
        DVAE: dvae_shapes(dims),
        VOCOS: vocos_shapes(dims),
    }


def buffer_shapes(dims: CheckpointDims, embed_tokens: int) -> dict[str, Shapes]:
    """Tensors that official files carry and the model does not need: file -> name -> shape.

    The filter bank and the windows are functions of the dimensions; ``embed_tokens.weight`` is an
    embedding that ``emb_text`` replaces. Any shape of them is accepted when reading.
    """
    bank, window = (dims.n_fft // 2 + 1, dims.num_mels), (dims.n_fft,)
    return {
        GPT: {"embed_tokens.weight": (embed_tokens, dims.hidden_size)} if embed_tokens else {},
        DVAE: {
            "preprocessor_mel.mel_spec.mel_scale.fb": bank,
            "preprocessor_mel.mel_spec.spectrogram.window": window,
        },
        VOCOS: {
            "feature_extractor.mel_spec.mel_scale.fb": bank,
            "feature_extractor.mel_spec.spectrogram.window": window,
            "head.istft.window": window,
        },
    }


def count_layers(names: Mapping[str, object], prefix: str) -> int:
    """Count the blocks ``prefix.0``, ``prefix.1``, ... as the highest index present plus one."""
    indices = [
        int(index)
        for name in names
        if name.startswith(prefix + ".")
        and (index := name[len(prefix) + 1 :].split(".", 1)[0]).isdecimal()
    ]
    return max(indices, default=-1) + 1
