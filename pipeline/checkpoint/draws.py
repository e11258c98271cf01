"""How the tensors of a seeded checkpoint are distributed.

The aim is that activations stay in range through any number of layers, that logits are peaked
enough for top-1 to mean something, and that mel and waveform have the levels of speech.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.checkpoint import layout
from pipeline.checkpoint.buffers import hann_window, mel_filter_bank
from pipeline.checkpoint.dims import SAMPLE_RATE, CheckpointDims

Array = NDArray[np.float32]
# values of a draw made at once: small enough for the cache of one core
CHUNK = 1 << 16
# sum of 4 independent uniform 16-bit integers: variance 4 (65536^2 - 1) / 12
SUM_MEAN = 2 * 65535
SUM_STD = math.sqrt((65536.0**2 - 1) / 3)
WAVEFORM_RMS = 0.1
LOG_MAGNITUDE_STD = 0.5
# nepers from the lowest to the highest bin, so that the waveform is no white noise
SPECTRAL_TILT = 3.0


@dataclass(frozen=True)
class Draw:
    """``mean + std * normal``; both broadcast against the tensor's shape."""

    std: float | Array
    mean: float | Array = 0.0


def bit_generator(seed: int, file: str, name: str) -> np.random.BitGenerator:
    """Return the random stream of one tensor, independent of all others and of their order."""
    digest = hashlib.sha256(f"{seed}\n{file}\n{name}".encode()).digest()
    return np.random.SFC64(np.random.SeedSequence(int.from_bytes(digest, "little")))


def normal(stream: np.random.BitGenerator, shape: tuple[int, ...]) -> Array:
    """Return values of mean 0 and variance 1, bell-shaped and within 3.47.

    NumPy keeps raw streams, not distributions, equal between versions, and logarithms differ
    between C libraries; sums of integers are equal everywhere.
    """
    values = np.empty(math.prod(shape), np.float32)
    lanes, low = np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF)
    for begin in range(0, values.size, CHUNK):
        raw = stream.random_raw(min(CHUNK, values.size - begin))
        pairs = (raw & lanes) + ((raw >> np.uint64(16)) & lanes)
        sums = ((pairs & low) + (pairs >> np.uint64(32))).astype(np.int32)
        values[begin : begin + CHUNK] = sums - np.int32(SUM_MEAN)
    values *= np.float32(1.0 / SUM_STD)
    return values.reshape(shape)


def draw_tensor(
    seed: int, file: str, name: str, shape: tuple[int, ...], dims: CheckpointDims
) -> Array:
    """Return one tensor of a seeded checkpoint."""
    if name.endswith("mel_scale.fb"):
        return mel_filter_bank(dims.n_fft, dims.num_mels, SAMPLE_RATE)
    if name.endswith(".window"):
        return hann_window(dims.n_fft)
    draw = _draw(file, name, shape, dims)
    values = normal(bit_generator(seed, file, name), shape)
    values *= np.asarray(draw.std, np.float32)
    values += np.asarray(draw.mean, np.float32)
    return values


def _draw(file: str, name: str, shape: tuple[int, ...], dims: CheckpointDims) -> Draw:
    if "norm" in name:
        return Draw(0.1, 1.0) if name.endswith("weight") else Draw(0.05)
    if file == layout.GPT:
        return _gpt(name, shape, dims)
    if file == layout.EMBED:
        return _embed(name, shape, dims)
    if file == layout.VOCOS:
        return _vocos(name, shape, dims)
    return _mel_codec(name, shape)


def _fan_in(shape: tuple[int, ...], gain: float = 1.0) -> Draw:
    return Draw(gain / math.sqrt(math.prod(shape[1:])))


def _gpt(name: str, shape: tuple[int, ...], dims: CheckpointDims) -> Draw:
    if name == "embed_tokens.weight":
        return Draw(0.02)
    # 2 additions a layer: the residual stream then grows by a constant, however many layers
    if name.endswith(("o_proj.weight", "down_proj.weight")):
        return _fan_in(shape, 1.0 / math.sqrt(2 * dims.num_hidden_layers))
    return _fan_in(shape)


def _embed(name: str, shape: tuple[int, ...], dims: CheckpointDims) -> Draw:
    if name.endswith("original0"):
        # hidden after the final norm has unit variance: g is the deviation of the logits
        return Draw(0.3, 3.0)
    if name.endswith("original1"):
        return _fan_in(shape)
    # the code embeddings of one position add up to the variance of a text embedding
    return Draw(0.5 if name == "emb_text.weight" else 0.5 / math.sqrt(dims.num_vq))


def _signs(width: int) -> Array:
    """One fixed direction of +-1 that carries the mean level through a Decoder stack."""
    stream = bit_generator(0, "mean level", str(width))
    return np.where(stream.random_raw(width) & np.uint64(1), 1.0, -1.0).astype(np.float32)


def _mel_codec(name: str, shape: tuple[int, ...]) -> Draw:
    """Decoder and DVAE. ``out_conv`` has no bias, so 1 is carried to it along a fixed direction.

    ``out_conv`` then gives about 1, and ``coef``, as in the official files, the mean level of each
    mel bin.
    """
    leaf = name.removeprefix("decoder.")
    if name == "coef":
        return Draw(0.4, -2.5)
    if leaf == "conv_in.2.bias":
        return Draw(0.05, 0.5 * _signs(shape[0]))
    if leaf == "conv_out.weight" and leaf != name:
        return Draw(1 / math.sqrt(shape[1]), 2 / shape[1] * _signs(shape[1])[:, None])
    if name == "out_conv.weight":
        fan_in = shape[1] * shape[2]
        return Draw(0.3 / math.sqrt(fan_in), 1 / fan_in)
    if name.endswith("bias"):
        return Draw(0.05)
    if len(shape) == 1:
        return Draw(0.05, 0.2)
    # after a GELU, which takes away about half of the deviation
    if name.endswith(("conv_in.2.weight", "downsample_conv.2.weight", "project_in.weight")):
        return _fan_in(shape, 1.6)
    return _fan_in(shape)


def _vocos(name: str, shape: tuple[int, ...], dims: CheckpointDims) -> Draw:
    bins = dims.n_fft // 2 + 1
    if name == "head.out.weight":
        std = np.full((shape[0], 1), 1 / math.sqrt(shape[1]), np.float32)
        std[:bins] *= LOG_MAGNITUDE_STD
        return Draw(std)
    if name == "head.out.bias":
        std, mean = np.full(shape, 2.0, np.float32), np.zeros(shape, np.float32)
        std[:bins] = 0.1
        mean[:bins] = _log_magnitude(dims.n_fft) - SPECTRAL_TILT * np.arange(bins) / (bins - 1)
        return Draw(std, mean)
    if name.endswith("bias"):
        return Draw(0.05)
    if name.endswith("gamma"):
        return Draw(0.05, 0.2)
    return _fan_in(shape)


def _log_magnitude(n_fft: int) -> float:
    """Log-magnitude of the lowest bin at which the waveform has an RMS of :data:`WAVEFORM_RMS`.

    Bins of magnitude m and random phase give frames of RMS m / sqrt(n_fft); overlap-add with a
    Hann window at a quarter hop divides it by sqrt(1.5).
    """
    flat = WAVEFORM_RMS * math.sqrt(1.5 * n_fft)
    tilt = (1 - math.exp(-2 * SPECTRAL_TILT)) / (2 * SPECTRAL_TILT)
    spread = math.exp(2 * LOG_MAGNITUDE_STD**2)
    # rounded, so that the last bit of a C library's logarithm cannot show
    return round(math.log(flat / math.sqrt(tilt * spread)), 3)
