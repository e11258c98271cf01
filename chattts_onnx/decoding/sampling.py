"""ChatTTS's sampler, vectorised over rows and heads.

Order (each step sees what the one before left): divide by temperature; repetition penalty over
the last 16 tokens of the same head; top-p; top-k; end token to -inf where it is not allowed yet;
softmax; one draw for each head.

Top-k keeps only values that reach the k-th largest and top-p removes from the smallest upwards, so
only the k largest can survive both.  That is why a partial sort is enough: the mass below them
enters top-p's cumulative sum as one number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .params import GenerationParams

PENALTY_WINDOW = 16
MIN_TOKENS_TO_KEEP = 3
_VANISHED = 1e-200

Scores = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Settings:
    """Sampling settings of rows as columns: one array for each setting, [rows]."""

    def __init__(self, rows: int) -> None:
        self.temperature = np.ones(rows)
        self.top_p = np.ones(rows)
        self.top_k = np.zeros(rows, dtype=np.int64)
        self.penalty = np.ones(rows)

    def set(self, row: int, params: GenerationParams) -> None:
        """Take one row's settings from ``params``."""
        self.temperature[row] = params.temperature
        self.top_p[row] = params.top_p
        self.top_k[row] = params.top_k
        self.penalty[row] = params.repetition_penalty

    def take(self, rows: slice | Ints) -> Settings:
        """The settings of some rows (views where ``rows`` is a slice)."""
        some = Settings.__new__(Settings)
        some.temperature = self.temperature[rows]
        some.top_p = self.top_p[rows]
        some.top_k = self.top_k[rows]
        some.penalty = self.penalty[rows]
        return some

    def move(self, source: int, destination: int) -> None:
        """Copy one row's settings to another row."""
        for column in (self.temperature, self.top_p, self.top_k, self.penalty):
            column[destination] = column[source]


def penalize(scores: Scores, history: Ints, penalty: Floats) -> None:
    """Apply the repetition penalty in place.

    ``scores`` [rows, heads, vocab], contiguous; ``history`` [rows, window, heads], -1 where there
    is nothing yet; ``penalty`` [rows].  A token counted n times has its score multiplied by
    penalty**n when negative and divided otherwise.
    """
    rows, heads, vocab = scores.shape
    starts = np.arange(rows * heads).reshape(rows, 1, heads) * vocab
    places = (history + starts)[history >= 0]
    if not places.size:
        return
    flat = scores.reshape(-1)
    counts = np.bincount(places)[places]
    alpha = penalty[places // (heads * vocab)] ** counts
    old = flat[places]
    flat[places] = np.where(old < 0, old * alpha, old / alpha)


def candidates(
    scores: Scores, settings: Settings, end_token: int, forbid_end: Bools
) -> tuple[Ints, Floats]:
    """What may be drawn: indices and weights, each [rows, heads, k], ascending by score.

    ``scores`` [rows, heads, vocab] after temperature and penalty; equal scores are ordered by
    index.  Weights are probabilities but for a common factor; removed entries have weight 0.
    """
    rows, heads, vocab = scores.shape
    limit = np.where(settings.top_k > 0, np.maximum(settings.top_k, MIN_TOKENS_TO_KEEP), vocab)
    limit = np.minimum(limit, vocab)
    flat = scores.reshape(rows * heads, vocab)
    index, values = _largest(flat, int(limit.max()))
    width = values.shape[-1]
    top = values[:, -1:]
    weights = np.exp(values - top, dtype=np.float64)
    total = np.exp(flat - top).sum(-1, dtype=np.float64, keepdims=True)
    mass = np.cumsum(weights, axis=-1)
    # What lies below the candidates enters the ascending cumulative sum as one number.
    mass += total - mass[:, -1:]
    keep = mass > np.repeat(1.0 - settings.top_p, heads)[:, None] * total
    keep[:, -MIN_TOKENS_TO_KEEP:] = True
    least = values[np.arange(rows * heads), np.repeat(width - limit, heads)]
    keep &= values >= least[:, None]
    if forbid_end.any():
        keep &= ~((index == end_token) & np.repeat(forbid_end, heads)[:, None])
    weights *= keep
    if forbid_end.any():
        _restore(weights, values, keep)
    return index.reshape(rows, heads, width), weights.reshape(rows, heads, width)


def _restore(weights: Floats, values: Scores, keep: Bools) -> None:
    """Weigh rows anew, in place, whose forbidden end outweighed all others beyond float64."""
    lost = weights.max(axis=-1) < _VANISHED
    if lost.any():
        allowed = np.where(keep[lost], values[lost], -np.inf)
        weights[lost] = np.exp(allowed - allowed.max(axis=-1, keepdims=True), dtype=np.float64)


def _largest(flat: Scores, width: int) -> tuple[Ints, Scores]:
    """Indices and values of the ``width`` largest of each row, ascending; all when ties need it."""
    count, vocab = flat.shape
    if width < vocab:
        starts = np.arange(count)[:, None] * vocab
        index = np.argpartition(flat, vocab - width, axis=-1)[:, vocab - width :]
        index.sort(axis=-1)
        values = flat.reshape(-1)[index + starts]
        if np.count_nonzero(flat >= values.min(axis=-1, keepdims=True)) > index.size:
            # All that equal the k-th largest survive top-k, so the partial sort is too narrow.
            return _largest(flat, vocab)
    else:
        index = np.broadcast_to(np.arange(vocab), flat.shape)
        values = flat
    order = np.argsort(values, axis=-1, kind="stable")
    order += np.arange(count)[:, None] * width
    return index.reshape(-1)[order], values.reshape(-1)[order]


def draw(index: Ints, weights: Floats, uniforms: Floats) -> Ints:
    """One token for each row and head by inverting the cumulative distribution.

    ``uniforms`` [rows, heads] in [0, 1).  Returns [rows, heads].
    """
    cumulative = np.cumsum(weights, axis=-1)
    last = cumulative[..., -1]
    # Rounding may bring u * last up to last itself, beyond every candidate.
    target = np.minimum(uniforms * last, np.nextafter(last, 0.0))
    chosen = np.count_nonzero(cumulative <= target[..., None], axis=-1)
    starts = np.arange(last.size).reshape(last.shape) * index.shape[-1]
    tokens: Ints = index.reshape(-1)[chosen + starts]
    return tokens


def sample(
    logits: Scores,
    history: Ints,
    settings: Settings,
    uniforms: Floats,
    end_token: int,
    forbid_end: Bools,
) -> Ints:
    """Tokens [rows, heads] from logits [rows, heads, vocab], in the order the module describes.

    ``history`` [rows, window, heads] holds the last tokens of each head (-1 = none yet),
    ``uniforms`` [rows, heads] the random numbers, ``forbid_end`` [rows] where the end may not be
    drawn yet.
    """
    # C order, since the steps below write through flat views.
    scores = np.divide(logits, settings.temperature[:, None, None], dtype=np.float32, order="C")
    if (settings.penalty != 1.0).any():
        penalize(scores, history, settings.penalty)
    index, weights = candidates(scores, settings, end_token, forbid_end)
    return draw(index, weights, uniforms)
