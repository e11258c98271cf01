"""Dimensions of a checkpoint, read from ``config.json`` and from tensor shapes.

Only what the files cannot tell is fixed here: the sample rate, the hop (a quarter of ``n_fft``) and
the dilations, which the official architecture never varies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chattts_onnx.untrusted import brief
from pipeline.checkpoint import layout
from pipeline.checkpoint.gpt_config import (
    count,
    max_positions,
    read_gpt_config,
    rms_norm_eps,
    rope_theta,
)
from pipeline.checkpoint.tensors import (
    PARTIAL_SUFFIXES,
    PICKLE_REASON,
    TensorFile,
    open_tensors,
    shards,
)
from pipeline.core.errors import CheckpointError

SAMPLE_RATE = 24_000
# Decoder and DVAE blocks; Vocos blocks are not dilated
CONVNEXT_DILATION = 2


@dataclass(frozen=True)
class ConvNeXtDims:
    """One ConvNeXt stack; ``in_channels`` is that of one frame, ``bottleneck`` 0 in Vocos."""

    in_channels: int
    bottleneck: int
    hidden: int
    intermediate: int
    out_channels: int
    kernel: int
    dilation: int
    num_layers: int


@dataclass(frozen=True)
class VqDims:
    """The grouped residual finite scalar quantizer (GFSQ) of the DVAE."""

    dim: int
    groups: int
    residuals: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class CheckpointDims:
    """Every size of a checkpoint.

    ``decoder``, ``dvae_decoder`` and ``dvae_encoder`` are stacks between their input and output
    convolutions; ``vocos.out_channels`` is ``n_fft + 2`` (log-magnitude and phase).
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    num_text_tokens: int
    num_audio_tokens: int
    num_vq: int
    num_mels: int
    n_fft: int
    vq: VqDims
    decoder: ConvNeXtDims
    dvae_decoder: ConvNeXtDims
    dvae_encoder: ConvNeXtDims
    vocos: ConvNeXtDims

    @property
    def hop_length(self) -> int:
        """Samples between mel frames."""
        return self.n_fft // 4

    @property
    def sample_rate(self) -> int:
        """Samples a second of the waveform."""
        return SAMPLE_RATE


def load_dims(folder: Path) -> CheckpointDims:
    """Read the dimensions of the checkpoint in ``folder`` and check every tensor against them.

    Only headers are read, so this takes milliseconds.

    Raises:
        CheckpointError: a file or tensor is missing, truncated, misshapen, of a type that
            is not read, or contradicts ``config.json``.
    """
    root = layout.find_root(folder)
    return read_dims(read_gpt_config(root), open_all(root))


def ignored_tensors(folder: Path) -> dict[str, list[str]]:
    """Return the tensors that nothing reads, by file; known buffers of official files are left out.

    Raises:
        CheckpointError: as :func:`load_dims`.
    """
    dims = load_dims(folder)
    files = open_all(layout.find_root(folder))
    buffers = layout.buffer_shapes(dims, embed_tokens=1)
    ignored = {}
    for name, shapes in layout.required_shapes(dims).items():
        extras = set(files[name].check(shapes)) - set(buffers.get(name, ()))
        if extras:
            ignored[name] = sorted(extras)
    return ignored


def open_all(root: Path) -> dict[str, TensorFile]:
    """Open the five tensor files of a checkpoint, or their shards, by their names in the layout."""
    files = {}
    for name in layout.TENSOR_FILES:
        path = root / name
        if not all(part.is_file() for part in shards(path, name)):
            raise missing_file(root, name)
        files[name] = open_tensors(path, label=name)
    return files


def converted_tensors(folder: Path) -> dict[str, dict[str, int]]:
    """Count the tensors that are not F32 and are read as F32, by file and type."""
    files = open_all(layout.find_root(folder))
    return {name: found for name, file in files.items() if (found := file.converted())}


def missing_file(root: Path, name: str) -> CheckpointError:
    """Describe a missing file; a pickle or half a download in its place gets its own message."""
    path = root / name
    for suffix in PARTIAL_SUFFIXES:
        if (other := path.with_name(path.name + suffix)).is_file():
            return CheckpointError(
                f"{name}: found only {other.name}, a download that is not finished; fetch it again"
            )
    candidates = [path.with_suffix(suffix) for suffix in layout.PICKLE_SUFFIXES]
    candidates.append(path.with_name("pytorch_model.bin"))
    for other in candidates:
        if name in layout.TENSOR_FILES and other.is_file():
            return CheckpointError(
                f"{name}: found only the pickle {other.name}, expected safetensors: {PICKLE_REASON}"
            )
    return CheckpointError(
        f"{name}: found no such file in {root}, expected the official layout; fetch it again"
    )


def read_dims(config: dict[str, Any], files: dict[str, TensorFile]) -> CheckpointDims:
    """Combine the GPT configuration with tensor shapes, and check all tensors."""
    embed, dvae, vocos = files[layout.EMBED], files[layout.DVAE], files[layout.VOCOS]
    hidden, heads = count(config, "hidden_size"), count(config, "num_attention_heads")
    text_tokens, _ = embed.shape("emb_text.weight", 2)
    audio_tokens, _ = embed.shape("emb_code.0.weight", 2)
    num_vq = layout.count_layers(embed.entries, "emb_code")
    head_rows, _ = vocos.shape("head.out.weight", 2)
    _agree(config, "num_text_tokens", text_tokens, "emb_text.weight")
    _agree(config, "num_audio_tokens", audio_tokens, "emb_code.0.weight")
    _agree(config, "num_vq", num_vq, "emb_code.N.weight")
    if hidden % 2 or (config.get("head_dim") is None and hidden % heads):
        raise CheckpointError(
            f"{layout.GPT_CONFIG}: found hidden_size {hidden} with {heads} attention heads, "
            "expected an even size that the number of heads divides"
        )
    dims = CheckpointDims(
        hidden_size=hidden,
        num_hidden_layers=count(config, "num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=count(config, "num_key_value_heads", heads),
        head_dim=count(config, "head_dim", hidden // heads),
        intermediate_size=count(config, "intermediate_size"),
        max_position_embeddings=max_positions(config),
        rope_theta=rope_theta(config),
        rms_norm_eps=rms_norm_eps(config),
        num_text_tokens=text_tokens,
        num_audio_tokens=audio_tokens,
        num_vq=num_vq,
        num_mels=files[layout.DECODER].shape("coef", 3)[1],
        n_fft=head_rows - 2,
        vq=_vq_dims(dvae, audio_tokens, num_vq),
        decoder=_stack_dims(files[layout.DECODER], "decoder"),
        dvae_decoder=_stack_dims(dvae, "decoder"),
        dvae_encoder=_stack_dims(dvae, "encoder"),
        vocos=_vocos_dims(vocos),
    )
    for name, shapes in layout.required_shapes(dims).items():
        files[name].check(shapes)
    return dims


def _blocks_dims(file: TensorFile, prefix: str, label: str) -> tuple[int, int, int, int]:
    layers = layout.count_layers(file.entries, prefix)
    if layers == 0:
        raise CheckpointError(f"{file.label}: tensor {prefix}.0: found nothing, expected {label}")
    hidden, _, kernel = file.shape(f"{prefix}.0.dwconv.weight", 3)
    intermediate, _ = file.shape(f"{prefix}.0.pwconv1.weight", 2)
    return hidden, intermediate, kernel, layers


def _stack_dims(file: TensorFile, prefix: str) -> ConvNeXtDims:
    bottleneck, in_channels, _ = file.shape(f"{prefix}.conv_in.0.weight", 3)
    out_channels, _, _ = file.shape(f"{prefix}.conv_out.weight", 3)
    hidden, intermediate, kernel, layers = _blocks_dims(
        file, f"{prefix}.decoder_block", "ConvNeXt blocks"
    )
    return ConvNeXtDims(
        in_channels, bottleneck, hidden, intermediate, out_channels, kernel, CONVNEXT_DILATION,
        layers,
    )  # fmt: skip


def _vocos_dims(file: TensorFile) -> ConvNeXtDims:
    _, mels, _ = file.shape("backbone.embed.weight", 3)
    rows, _ = file.shape("head.out.weight", 2)
    if rows < 10 or (rows - 2) % 4:
        raise CheckpointError(
            f"{file.label}: tensor head.out.weight: found {rows} rows, expected n_fft + 2 with "
            "n_fft divisible by 4"
        )
    hidden, intermediate, kernel, layers = _blocks_dims(
        file, "backbone.convnext", "ConvNeXt blocks"
    )
    return ConvNeXtDims(mels, 0, hidden, intermediate, rows, kernel, 1, layers)


def _vq_dims(file: TensorFile, audio_tokens: int, num_vq: int) -> VqDims:
    """Derive the quantizer: one code book has ``level ** axes`` codes, the end token is extra."""
    prefix = "vq_layer.quantizer.rvqs"
    groups = layout.count_layers(file.entries, prefix)
    axes, width = file.shape(f"{prefix}.0.project_in.weight", 2)
    if groups == 0 or num_vq % groups:
        raise CheckpointError(
            f"{file.label}: tensor {prefix}.N: found {groups} groups, expected a divisor of the "
            f"{num_vq} code embeddings"
        )
    level = round((audio_tokens - 1) ** (1 / axes)) if axes else 0
    if level < 2 or level**axes != audio_tokens - 1:
        raise CheckpointError(
            f"{file.label}: tensor {prefix}.0.project_in.weight: found {axes} axes, expected "
            f"{audio_tokens - 1} codes (and one end token) to be equal levels on each axis"
        )
    return VqDims(groups * width, groups, num_vq // groups, (level,) * axes)


def _agree(config: dict[str, Any], key: str, found: int, tensor: str) -> None:
    value = config.get(key)
    if value is not None and value != found:
        raise CheckpointError(
            f"{layout.EMBED}: tensor {tensor}: found {key} {found}, expected {brief(value)} as "
            f"{layout.GPT_CONFIG} says"
        )
