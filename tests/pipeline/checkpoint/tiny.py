"""The smallest checkpoint that is whole, for tests and drills."""

from __future__ import annotations

from pipeline.checkpoint.config import BlocksConfig, SeededConfig

TINY = SeededConfig(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=3,
    intermediate_size=40,
    max_position_embeddings=128,
    rope_theta=5000.0,
    rms_norm_eps=1e-5,
    num_vq=4,
    vq_groups=2,
    vq_levels=[3, 3, 3],
    vocabulary="compact",
    embed_tokens=7,
    num_mels=10,
    n_fft=64,
    dvae_dim=14,
    decoder=BlocksConfig(hidden=18, intermediate=30, num_layers=3, bottleneck=5),
    dvae_decoder=BlocksConfig(hidden=16, intermediate=26, num_layers=2, bottleneck=4),
    dvae_encoder=BlocksConfig(hidden=22, intermediate=28, num_layers=1, bottleneck=6),
    vocos=BlocksConfig(hidden=20, intermediate=34, num_layers=2),
)
