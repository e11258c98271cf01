"""Distances between a variant's outputs and the reference's, in plain numpy.

Logit metrics take arrays ``[..., vocabulary]`` and return one number a position; the caller
averages over the positions it holds valid.  Signal metrics take mels or waveforms and return one
number for the pair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LOG_FLOOR = 1e-5
"""Smallest magnitude told apart from silence; ChatTTS clips its log-mels at the same value."""


def log_softmax(logits: ArrayLike) -> Floats:
    """Natural log of the softmax over the last axis, computed in float64."""
    values = np.asarray(logits, dtype=np.float64)
    shifted = values - values.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def kl_divergence(reference: ArrayLike, variant: ArrayLike) -> Floats:
    """KL(reference ‖ variant) of the distributions two sets of logits stand for, in nats.

    Kullback & Leibler 1951: Σ p·(ln p − ln q).  Shape: the inputs' without the last axis.
    """
    log_p, log_q = log_softmax(reference), log_softmax(variant)
    _same_shape(log_p, log_q)
    divergence = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    # Rounding takes the sum of two equal distributions a few ulp below zero.
    result: Floats = np.maximum(divergence, 0.0)
    return result


def top1_agreement(reference: ArrayLike, variant: ArrayLike) -> Floats:
    """1 where both sets of logits have their maximum at the same token, else 0."""
    first, second = np.asarray(reference), np.asarray(variant)
    _same_shape(first, second)
    return (first.argmax(axis=-1) == second.argmax(axis=-1)).astype(np.float64)


def cosine_similarity(reference: ArrayLike, variant: ArrayLike) -> Floats:
    """Cosine of the angle between vectors along the last axis; 0 where just one is zero."""
    first, second = np.asarray(reference, np.float64), np.asarray(variant, np.float64)
    _same_shape(first, second)
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    both_zero = ~first.any(axis=-1) & ~second.any(axis=-1)
    products = (first * second).sum(axis=-1)
    cosine = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    result: Floats = np.where(both_zero, 1.0, cosine)
    return result


def mel_l1(reference: ArrayLike, variant: ArrayLike) -> float:
    """Mean absolute difference of two log-mels ``[..., mels, frames]``, in nepers (ln units)."""
    first, second = np.asarray(reference, np.float64), np.asarray(variant, np.float64)
    _same_shape(first, second)
    return float(np.abs(first - second).mean())


def log_spectral_distance(reference: ArrayLike, variant: ArrayLike) -> float:
    """Log-spectral distance of two magnitude spectrograms ``[frequencies, frames]``, in dB.

    Gray & Markel 1976: the root mean square over frequency of 20·log10 of the magnitudes'
    ratio, averaged over frames; magnitudes are floored at :data:`LOG_FLOOR`.
    """
    first, second = np.asarray(reference, np.float64), np.asarray(variant, np.float64)
    _same_shape(first, second)
    decibels = 20.0 * np.log10(np.maximum(first, LOG_FLOOR) / np.maximum(second, LOG_FLOOR))
    return float(np.sqrt((decibels**2).mean(axis=0)).mean())


def snr_db(reference: ArrayLike, variant: ArrayLike) -> float:
    """Signal-to-noise ratio in dB, the noise being ``variant − reference``.

    10·log10(Σ reference² / Σ noise²); infinite for equal signals, −infinite where only the
    reference is silent.
    """
    first, second = np.asarray(reference, np.float64), np.asarray(variant, np.float64)
    _same_shape(first, second)
    signal, noise = float((first**2).sum()), float(((second - first) ** 2).sum())
    if noise == 0.0:
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal else float("-inf")


def identical_share(reference: ArrayLike, variant: ArrayLike) -> float:
    """Share of equal codes of two generations ``[steps, num_vq]``, over the longer one's length.

    Steps that only one of them has count as different; two empty generations are identical.
    """
    first, second = np.asarray(reference), np.asarray(variant)
    longest, common = max(len(first), len(second)), min(len(first), len(second))
    if longest == 0:
        return 1.0
    equal = float((first[:common] == second[:common]).mean()) if common else 0.0
    return equal * common / longest


def _same_shape(first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"reference has shape {first.shape}, variant {second.shape}; expected equal shapes"
        )
