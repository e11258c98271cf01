"""Sample-rate conversion by a windowed-sinc polyphase filter, in numpy alone."""

from __future__ import annotations

from math import gcd

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Floats = npt.NDArray[np.float32]

# Zero crossings of the sinc on each side and the Kaiser window's beta: some 80 dB of stop band.
_CROSSINGS = 32
_BETA = 8.6
_ROLLOFF = 0.94
_BLOCK = 1 << 14
# Rates such as 44100 -> 24000 need 80 phases; an odd rate may need as many as itself.
_MAX_PHASES = 1 << 16


def resample(audio: npt.ArrayLike, source_rate: int, target_rate: int) -> Floats:
    """``audio`` [samples] at ``source_rate`` as [ceil(samples * target / source)] at the other.

    Frequencies above the lower of the two Nyquist limits are taken out.  Raises
    :class:`InputError` on rates below 1 Hz or a ratio without a common measure.
    """
    samples = np.ascontiguousarray(audio, dtype=np.float32)
    if source_rate < 1 or target_rate < 1:
        raise InputError(f"sample rates are {source_rate} and {target_rate}; expected positive.")
    if samples.ndim != 1:
        raise InputError(f"audio has shape {list(samples.shape)}; expected [samples].")
    common = gcd(source_rate, target_rate)
    up, down = target_rate // common, source_rate // common
    if up == down or not len(samples):
        return samples
    if up > _MAX_PHASES:
        raise InputError(f"{source_rate} Hz to {target_rate} Hz is no ratio of small numbers.")
    return _polyphase(samples, up, down)


def _polyphase(samples: Floats, up: int, down: int) -> Floats:
    """Output n is the filter's phase n·down mod up over the inputs around n·down / up."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    reach = int(np.ceil(_CROSSINGS / cutoff))
    taps = _filters(up, cutoff, reach)
    count = -(-len(samples) * up // down)
    padded = np.pad(samples, (reach, reach + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    result = np.empty(count, dtype=np.float32)
    for start in range(0, count, _BLOCK):
        position = np.arange(start, min(start + _BLOCK, count), dtype=np.int64) * down
        rows = windows[np.minimum(position // up, len(windows) - 1)]
        result[start : start + len(position)] = np.einsum("ij,ij->i", rows, taps[position % up])
    return result


def _filters(up: int, cutoff: float, reach: int) -> Floats:
    """Filters [up, 2 * reach + 1], one for each fraction of an input sample."""
    offset = np.arange(-reach, reach + 1) - np.arange(up)[:, None] / up
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offset / (reach + 1)) ** 2, 0, 1))) / np.i0(_BETA)
    taps = cutoff * np.sinc(cutoff * offset) * window
    # Each phase passes a constant unchanged.
    taps /= taps.sum(axis=1, keepdims=True)
    return taps.astype(np.float32)
