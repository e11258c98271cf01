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
# From below telephones to above what is recorded; a header may claim anything.
RATES = range(1000, 768_001)
# A ratio of small numbers, such as 44100 to 24000, has a filter for each of its phases; others
# take those around theirs, interpolated: at this number some 110 dB below the sound.
_MAX_PHASES = 512
# Numbers that are worked on at once, whatever the rates and the length.
_BLOCK = 1 << 20


def resample(audio: npt.ArrayLike, source_rate: int, target_rate: int) -> Floats:
    """``audio`` [samples] at ``source_rate`` as [ceil(samples * target / source)] at the other.

    Frequencies above the lower of the two Nyquist limits are taken out.  Beside the sound, memory
    is bounded.  Raises :class:`InputError` on rates outside :data:`RATES`.
    """
    samples = np.ascontiguousarray(audio, dtype=np.float32)
    if source_rate not in RATES or target_rate not in RATES:
        raise InputError(
            f"sample rates are {source_rate} and {target_rate} Hz; expected {RATES.start} to "
            f"{RATES.stop - 1}."
        )
    if samples.ndim != 1:
        raise InputError(f"audio has shape {list(samples.shape)}; expected [samples].")
    common = gcd(source_rate, target_rate)
    up, down = target_rate // common, source_rate // common
    if up == down or not len(samples):
        return samples
    return _polyphase(samples, up, down)


def _polyphase(samples: Floats, up: int, down: int) -> Floats:
    """Output n is the filter's phase n·down mod up over the inputs around n·down / up."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    reach = int(np.ceil(_CROSSINGS / cutoff))
    phases = min(up, _MAX_PHASES)
    taps = _filters(phases, cutoff, reach)
    count = -(-len(samples) * up // down)
    padded = np.pad(samples, (reach, reach + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    result = np.empty(count, dtype=np.float32)
    block = max(1, _BLOCK // windows.shape[1])
    for start in range(0, count, block):
        position = np.arange(start, min(start + block, count), dtype=np.int64) * down
        rows = windows[np.minimum(position // up, len(windows) - 1)]
        phase, rest = np.divmod(position % up * phases, up)
        found = np.einsum("ij,ij->i", rows, taps[phase])
        if phases < up:
            part = (rest / up).astype(np.float32)
            found += part * (np.einsum("ij,ij->i", rows, taps[phase + 1]) - found)
        result[start : start + len(position)] = found
    return result


def _filters(phases: int, cutoff: float, reach: int) -> Floats:
    """Filters [phases + 1, 2 * reach + 1], one for each fraction of an input sample, 0 to 1."""
    taps = np.empty((phases + 1, 2 * reach + 1), dtype=np.float32)
    for phase in range(phases + 1):
        offset = np.arange(-reach, reach + 1) - phase / phases
        window = np.i0(_BETA * np.sqrt(np.clip(1 - (offset / (reach + 1)) ** 2, 0, 1)))
        row = np.sinc(cutoff * offset) * window
        # Each phase passes a constant unchanged.
        taps[phase] = row / row.sum()
    return taps
