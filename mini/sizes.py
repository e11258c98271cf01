"""Sizes of the mini checkpoint, chosen so that all its files stay below 40 MB in float32."""

from __future__ import annotations

import math

from mini.tokenizer import vocabulary
from pipeline.checkpoint.dims import CONVNEXT_DILATION, CheckpointDims, ConvNeXtDims, VqDims

MAX_BYTES = 40_000_000
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
    hidden, latent, n_fft, mels = 256, 96, 1024, 100
    return CheckpointDims(
        hidden_size=hidden,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=hidden // 4,
        intermediate_size=768,
        max_position_embeddings=4096,
        rope_theta=10_000.0,
        rms_norm_eps=1e-6,
        num_text_tokens=len(vocabulary()),
        num_audio_tokens=math.prod(LEVELS) + 1,
        num_vq=GROUPS * RESIDUALS,
        num_mels=mels,
        n_fft=n_fft,
        vq=VqDims(2 * latent, GROUPS, RESIDUALS, LEVELS),
        decoder=_stack(hidden // 2, hidden // 2, 192, 5),
        dvae_decoder=_stack(latent, latent, 128, 4),
        dvae_encoder=_stack(latent, 2 * latent, 128, 3),
        vocos=_stack(mels, n_fft + 2, 208, 6, dilation=1),
    )
