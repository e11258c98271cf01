"""Sizes of the mini checkpoint, chosen so that all its files stay below 45 MB in half precision."""

from __future__ import annotations

import math

from mini.tokenizer import vocabulary
from pipeline.checkpoint.dims import CONVNEXT_DILATION, CheckpointDims, ConvNeXtDims, VqDims

MAX_BYTES = 44_000_000
KERNEL = 7
LEVELS = (5, 5, 5, 5)
GROUPS, RESIDUALS = 2, 2


def _stack(
    in_channels: int, out_channels: int, hidden: int, layers: int, dilation: int = CONVNEXT_DILATION
) -> ConvNeXtDims:
    bottleneck = 64 if dilation > 1 else 0
    return ConvNeXtDims(
        in_channels, bottleneck, hidden, 3 * hidden, out_channels, KERNEL, dilation, layers
    )


def mini_dims() -> CheckpointDims:
    """Return the dimensions that every step trains with."""
    hidden, latent, n_fft, mels = 320, 128, 1024, 100
    return CheckpointDims(
        hidden_size=hidden,
        num_hidden_layers=6,
        num_attention_heads=5,
        num_key_value_heads=5,
        head_dim=hidden // 5,
        intermediate_size=896,
        max_position_embeddings=4096,
        rope_theta=10_000.0,
        rms_norm_eps=1e-6,
        num_text_tokens=len(vocabulary()),
        num_audio_tokens=math.prod(LEVELS) + 1,
        num_vq=GROUPS * RESIDUALS,
        num_mels=mels,
        n_fft=n_fft,
        vq=VqDims(2 * latent, GROUPS, RESIDUALS, LEVELS),
        decoder=_stack(hidden // 2, hidden // 2, 224, 6),
        dvae_decoder=_stack(latent, latent, 160, 4),
        dvae_encoder=_stack(latent, 2 * latent, 160, 3),
        vocos=_stack(mels, n_fft + 2, 208, 6, dilation=1),
    )
