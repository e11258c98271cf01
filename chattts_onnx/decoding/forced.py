"""Teacher forcing: what the model would have said at each step of given codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ..errors import InputError
from ..format.manifest import ModelInfo
from ..text.prompts import Prompt
from .decoder import prefill, right_pad
from .finite import require_finite
from .kv_cache import KVCache

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Inputs = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None]


Rows = tuple[list[Prompt], Floats, Ints]
"""Prompts, speakers [B, hidden] and, for each prompt, the place of its first wanted position."""


def forced_pass(
    model: ModelInfo, inputs: Inputs, run: Callable[[Rows, int], tuple[Floats, Floats]]
) -> tuple[Floats, Floats]:
    """Run ``inputs`` = (text_ids, attention_mask, codes, speaker) through one prefill.

    Shapes as in :meth:`chattts_onnx.bundle.Bundle.forced`.  Every row is shifted to the left edge,
    and all codes but the last follow its text.  ``run`` takes rows and the number of wanted
    positions of each, and returns hidden and logits [B * steps, ...].  Raises
    :class:`.NonFiniteError` naming the first row and step whose outputs are not finite.
    """
    text_ids, attention_mask, codes, speaker = _check(model, *inputs)
    batch, steps = codes.shape[:2]
    valid = attention_mask.sum(axis=1)
    prompts = [
        Prompt(row[len(row) - n :], np.ones(n, dtype=np.bool_)).with_codes(tail[:-1])
        for row, n, tail in zip(text_ids, valid, codes, strict=True)
    ]
    hidden, logits = run((prompts, speaker, valid - 1), steps)
    shape = (batch, steps)
    hidden, logits = hidden.reshape(*shape, -1), logits.reshape(*shape, *logits.shape[1:])
    require_finite(hidden, "gpt", "hidden", ("row", "step"))
    require_finite(logits, "gpt", "logits", ("row", "step"))
    return hidden, logits


def prefill_rows(
    session: ort.InferenceSession, model: ModelInfo, place: tuple[str, int], rows: Rows, steps: int
) -> tuple[Floats, Floats]:
    """ONNX Runtime's part of :func:`forced_pass`; ``place`` = (device, device id)."""
    prompts, speaker, first = rows
    padded = right_pad(prompts)
    length = padded[0].shape[1]
    starts = np.arange(len(prompts)) * length + first
    index = (starts[:, None] + np.arange(steps)).reshape(-1)
    cache = KVCache(model, len(prompts), length, *place)
    return prefill(session, model, cache, 0, padded, speaker, index)


def _check(
    model: ModelInfo,
    text_ids: npt.ArrayLike,
    attention_mask: npt.ArrayLike,
    codes: npt.ArrayLike,
    speaker: npt.ArrayLike | None,
) -> tuple[Ints, Ints, Ints, Floats]:
    text = np.asarray(text_ids, dtype=np.int64)
    mask = np.asarray(attention_mask, dtype=np.int64)
    code = np.asarray(codes, dtype=np.int64)
    if text.ndim != 3 or text.shape[2] != model.num_vq or not text.size:
        raise InputError(
            f"text_ids have shape {list(text.shape)}; expected [B, S, {model.num_vq}], not empty."
        )
    batch = len(text)
    if mask.shape != text.shape[:2] or not np.isin(mask, (0, 1)).all():
        raise InputError(
            f"attention_mask has shape {list(mask.shape)}; expected 0s and 1s of shape "
            f"{list(text.shape[:2])}."
        )
    if (np.diff(mask, axis=1) < 0).any() or not mask[:, -1].all():
        raise InputError("attention_mask is not left-padded: expected 0s, then at least one 1.")
    if code.ndim != 3 or code.shape[::2] != (batch, model.num_vq) or code.shape[1] < 1:
        raise InputError(
            f"codes have shape {list(code.shape)}; expected [{batch}, T, {model.num_vq}] with T of "
            "at least 1."
        )
    _in_range("text_ids", text * mask[..., None], model.num_text_tokens)
    _in_range("codes", code, model.num_audio_tokens)
    longest = int(mask.sum(axis=1).max()) + code.shape[1] - 1
    if longest > model.max_position_embeddings:
        raise InputError(
            f"text and codes make {longest} positions; the model has "
            f"{model.max_position_embeddings}. Shorten the codes."
        )
    voice = np.zeros((batch, model.hidden_size), dtype=np.float32)
    if speaker is not None:
        given = np.asarray(speaker, dtype=np.float32)
        if given.shape != voice.shape:
            raise InputError(
                f"speaker has shape {list(given.shape)}; expected {list(voice.shape)}."
            )
        voice = given
    return text, mask, code, voice


def _in_range(name: str, values: Ints, limit: int) -> None:
    if values.min() < 0 or values.max() >= limit:
        raise InputError(f"{name} lie in {values.min()}..{values.max()}; expected 0..{limit - 1}.")
