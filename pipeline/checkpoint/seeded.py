"""Checkpoints of deterministic random weights in the official names and shapes.

The same seed and sizes give the same bytes on every machine. Tensors are drawn and written one by
one, so memory holds a few tensors, never a file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import BlocksConfig, SeededConfig
from pipeline.checkpoint.dims import CONVNEXT_DILATION, CheckpointDims, ConvNeXtDims, VqDims
from pipeline.checkpoint.draws import draw_tensor
from pipeline.checkpoint.tokenizer import vocabulary_size, write_tokenizer
from pipeline.core import atomic

# each worker holds one tensor, at most the 98 MB of the official embed_tokens
WORKERS = 2
KERNEL = 7
Progress = Callable[[int], None]


def seeded_dims(config: SeededConfig) -> CheckpointDims:
    """Return the dimensions that a seeded checkpoint will have."""
    vq_dim = 2 * config.dvae_dim
    return CheckpointDims(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.head_dim or config.hidden_size // config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        rope_theta=config.rope_theta,
        rms_norm_eps=config.rms_norm_eps,
        num_text_tokens=vocabulary_size(config.vocabulary),
        num_audio_tokens=math.prod(config.vq_levels) + 1,
        num_vq=config.num_vq,
        num_mels=config.num_mels,
        n_fft=config.n_fft,
        vq=VqDims(
            vq_dim, config.vq_groups, config.num_vq // config.vq_groups, tuple(config.vq_levels)
        ),
        decoder=_stack(config.decoder, config.hidden_size // 2, config.hidden_size // 2),
        dvae_decoder=_stack(config.dvae_decoder, config.dvae_dim, config.dvae_dim),
        dvae_encoder=_stack(config.dvae_encoder, config.dvae_dim, vq_dim),
        vocos=_stack(config.vocos, config.num_mels, config.n_fft + 2, dilation=1),
    )


def _stack(
    blocks: BlocksConfig, in_channels: int, out_channels: int, dilation: int = CONVNEXT_DILATION
) -> ConvNeXtDims:
    return ConvNeXtDims(
        in_channels=in_channels,
        bottleneck=blocks.bottleneck,
        hidden=blocks.hidden,
        intermediate=blocks.intermediate,
        out_channels=out_channels,
        kernel=KERNEL,
        dilation=dilation,
        num_layers=blocks.num_layers,
    )


def planned_shapes(config: SeededConfig) -> dict[str, layout.Shapes]:
    """Return file -> tensor -> shape of everything that will be written."""
    dims = seeded_dims(config)
    shapes = layout.required_shapes(dims)
    for file, extra in layout.buffer_shapes(dims, config.embed_tokens).items():
        shapes[file] = shapes[file] | extra
    # official files are sorted by name
    return {file: dict(sorted(names.items())) for file, names in shapes.items()}


def planned_bytes(config: SeededConfig) -> int:
    """Bytes of tensor data, for a progress bar."""
    files = planned_shapes(config).values()
    return sum(4 * math.prod(shape) for shapes in files for shape in shapes.values())


def write_seeded(root: Path, config: SeededConfig, seed: int, progress: Progress) -> None:
    """Write a seeded checkpoint in the official layout below ``root``.

    Args:
        root: an empty folder.
        config: the sizes.
        seed: any integer; another one gives other weights everywhere.
        progress: called with the bytes of each finished tensor, from several threads.
    """
    dims = seeded_dims(config)
    for file, shapes in planned_shapes(config).items():
        _write_tensors(root / file, file, shapes, dims, seed, progress)
    atomic.write_json(root / layout.GPT_CONFIG, gpt_config(config, dims))
    write_tokenizer(root, config.vocabulary)


def gpt_config(config: SeededConfig, dims: CheckpointDims) -> dict[str, Any]:
    """Return ``config.json`` with the keys of the official one that mean anything here."""
    return {
        "architectures": ["LlamaModel"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": dims.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": dims.intermediate_size,
        "max_position_embeddings": dims.max_position_embeddings,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": dims.num_attention_heads,
        "num_audio_tokens": dims.num_audio_tokens,
        "num_hidden_layers": dims.num_hidden_layers,
        "num_key_value_heads": dims.num_key_value_heads,
        "num_text_tokens": dims.num_text_tokens,
        "num_vq": dims.num_vq,
        "rms_norm_eps": dims.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": dims.rope_theta,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": False,
        "vocab_size": max(config.embed_tokens, 1),
        **({"head_dim": config.head_dim} if config.head_dim else {}),
    }


def encode_header(file: str, shapes: layout.Shapes) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Return everything before the data of a safetensors file, and each tensor's begin and end.

    Offsets count from the end of the header.
    """
    # transformers marks its files so, and refuses to load a GPT without the mark
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}} if file == layout.GPT else {}
    offsets = {}
    begin = 0
    for name, shape in shapes.items():
        end = begin + 4 * math.prod(shape)
        offsets[name] = (begin, end)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded, offsets


def _write_tensors(
    path: Path,
    file: str,
    shapes: layout.Shapes,
    dims: CheckpointDims,
    seed: int,
    progress: Progress,
) -> None:
    header, offsets = encode_header(file, shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header)

    def write(name: str) -> None:
        tensor = draw_tensor(seed, file, name, shapes[name], dims).astype("<f4", copy=False)
        with path.open("r+b") as stream:
            stream.seek(len(header) + offsets[name][0])
            tensor.tofile(stream)
        progress(tensor.nbytes)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(write, shapes):
            pass
