"""Outlier channels, as large trained transformers have them, put into any checkpoint.

Dettmers et al. 2022, arXiv:2208.07339: a few channels, the same in every layer, are tens of times
larger than the rest.  Random weights and small models have none, so that nothing that INT8 fails on
would be met.  Here channels of the norms, of the up and of the value projections grow, and what
reads them shrinks as much: the checkpoint computes the function that it computed before.

Sun et al. 2024, arXiv:2402.17762: the first position's residual is thousands of times larger than
any other's.  ``massive`` puts that into the embedding of the tokens that begin a prompt.  No change
of other weights can take that back, so this one is another function, and its own reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.checkpoint import layout
from pipeline.checkpoint.dims import CheckpointDims, load_dims
from pipeline.checkpoint.draws import bit_generator
from pipeline.checkpoint.tensors import TensorFile, open_tensors
from pipeline.core.errors import ConfigError

Array = NDArray[np.float32]

RESIDUAL, UP, VALUE, MASSIVE = 4, 6, 3, 2
"""Outlier channels of the norms, of each up and value projection, and of a massive position."""

SPREAD = (0.5, 1.5)
"""Factors of the channels, in shares of the strength."""

VALUE_SHARE = 0.25
"""Outliers of values are milder than those of norms."""

FIRST_TOKENS = ("[Stts]", "[Sbreak]")


@dataclass(frozen=True)
class OutliersConfig:
    """Attributes:
    strength: how many times larger outlier channels become; 1 changes nothing.
    massive: magnitude of two channels of the first position's residual, 0 for none; the
        embeddings of other positions stay below 4 or so.
    """

    strength: float
    massive: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.strength <= 1000:
            raise ConfigError(f"outliers.strength: found {self.strength}, expected 1 to 1000")
        if not 0 <= self.massive <= 1e6:
            raise ConfigError(f"outliers.massive: found {self.massive}, expected 0 to 1e6")


def add_outliers(root: Path, config: OutliersConfig, seed: int) -> None:
    """Change the tensors of the checkpoint ``root`` in place.

    Raises:
        CheckpointError: the folder is no sound checkpoint.
    """
    dims = load_dims(root)
    rng = np.random.Generator(bit_generator(seed, layout.GPT, "outliers"))
    channels = rng.choice(dims.hidden_size, min(RESIDUAL, dims.hidden_size), replace=False)
    gpt = open_tensors(root / layout.GPT)
    for layer in range(dims.num_hidden_layers if config.strength > 1 else 0):
        _grow_norms(gpt, layer, channels, config.strength, rng)
        _grow_up(gpt, layer, dims, config.strength, rng)
        _grow_values(gpt, layer, dims, config.strength * VALUE_SHARE, rng)
    if config.massive:
        vocabulary = Tokenizer.from_file(str(root / layout.TOKENIZER))
        embeddings = _open(open_tensors(root / layout.EMBED), "emb_text.weight")
        for token in FIRST_TOKENS:
            embeddings[vocabulary.token_to_id(token), channels[:MASSIVE]] = config.massive
        embeddings.flush()


def _grow_norms(
    gpt: TensorFile,
    layer: int,
    channels: NDArray[np.int64],
    strength: float,
    rng: np.random.Generator,
) -> None:
    for norm, readers in (
        ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ):
        factors = _factors(strength, len(channels), rng)
        gain = _open(gpt, f"layers.{layer}.{norm}.weight")
        gain[channels] *= factors
        for reader in readers:
            weight = _open(gpt, f"layers.{layer}.{reader}.weight")
            weight[:, channels] /= factors


def _grow_up(
    gpt: TensorFile, layer: int, dims: CheckpointDims, strength: float, rng: np.random.Generator
) -> None:
    width = dims.intermediate_size
    channels = rng.choice(width, min(UP, width), replace=False)
    factors = _factors(strength, len(channels), rng)
    _open(gpt, f"layers.{layer}.mlp.up_proj.weight")[channels] *= factors[:, None]
    _open(gpt, f"layers.{layer}.mlp.down_proj.weight")[:, channels] /= factors


def _grow_values(
    gpt: TensorFile, layer: int, dims: CheckpointDims, strength: float, rng: np.random.Generator
) -> None:
    width = dims.num_key_value_heads * dims.head_dim
    channels = rng.choice(width, min(VALUE, width), replace=False)
    factors = _factors(max(strength, 1.0), len(channels), rng)
    _open(gpt, f"layers.{layer}.self_attn.v_proj.weight")[channels] *= factors[:, None]
    output = _open(gpt, f"layers.{layer}.self_attn.o_proj.weight")
    # query heads that share a value head read the same channel
    shape = (dims.num_key_value_heads, -1, dims.head_dim)
    heads = output.reshape(len(output), *shape)
    head, channel = np.divmod(channels, dims.head_dim)
    heads[:, head, :, channel] /= factors[:, None, None]


def _factors(strength: float, count: int, rng: np.random.Generator) -> Array:
    return (strength * rng.uniform(*SPREAD, count)).astype(np.float32)


def _open(file: TensorFile, name: str) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
    """A tensor as it lies in its file; what is written to it is written there."""
    entry = file.entries[name]
    return np.memmap(file.path, "<f4", "r+", entry.begin, entry.shape)
