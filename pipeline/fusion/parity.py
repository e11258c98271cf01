"""Fused graphs against the plain ones they were made from.

Validated after fusion, not only before: a fused operator may compute what its parts did not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from chattts_onnx import open_bundle
from pipeline.checkpoint.dims import CheckpointDims
from pipeline.core.errors import FusionError
from pipeline.graphs.facts import GRAPHS

Array = NDArray[Any]
GPT = "gpt"
PROMPT, STEPS = 23, 31


def check_fused(
    plain: Path, bundle: Path, dims: CheckpointDims, tolerance: float, seed: int
) -> dict[str, float]:
    """Return the relative error per graph of ``bundle`` against the graphs in ``plain``.

    The error of ``dvae_encode`` is the share of codes that differ.

    Raises:
        FusionError: an error is over ``tolerance``, or a graph's inputs are not known here.
    """
    rng = np.random.default_rng(seed)
    errors = {GPT: _gpt_error(plain, bundle, dims, rng)}
    unknown = {path.stem for path in bundle.glob("*.onnx")} - set(GRAPHS)
    if unknown:
        raise FusionError(
            f"found the graphs {', '.join(sorted(unknown))}, expected {', '.join(GRAPHS)}; "
            "teach pipeline/graphs/facts.py their inputs"
        )
    for name, facts in GRAPHS.items():
        if facts.random is not None:
            feed = facts.random(dims, rng)
            expected, found = (_run(folder / f"{name}.onnx", feed) for folder in (plain, bundle))
            errors[name] = _error(found, expected)
    for name, error in errors.items():
        allowed = GRAPHS[name].tolerance or tolerance
        if not error <= allowed:
            raise FusionError(
                f"graph '{name}': found a relative error of {error:.3g} after fusion, expected at "
                f"most {allowed:g}"
            )
    return errors


def _gpt_error(plain: Path, bundle: Path, dims: CheckpointDims, rng: np.random.Generator) -> float:
    """Compare teacher forcing over a left-padded batch of two prompts with a speaker."""
    top = min(dims.num_text_tokens, dims.num_audio_tokens)
    text = rng.integers(0, top, (2, PROMPT, 1)).repeat(dims.num_vq, axis=2)
    mask = np.ones((2, PROMPT), dtype=np.int64)
    mask[1, :5] = 0
    codes = rng.integers(0, dims.num_audio_tokens - 1, (2, STEPS, dims.num_vq))
    speaker = rng.standard_normal((2, dims.hidden_size), dtype=np.float32)
    expected = plain_forced(plain / "gpt.onnx", dims, text, mask, codes, speaker)
    found = open_bundle(bundle, providers=["CPUExecutionProvider"]).forced(
        text, mask, codes, speaker
    )
    return max(_error(a, b) for a, b in zip(found, expected, strict=True))


def plain_forced(
    path: Path, dims: CheckpointDims, text: Array, mask: Array, codes: Array, speaker: Array
) -> tuple[Array, Array]:
    """Run the plain GPT graph once over left-padded prompts and codes; see ``Bundle.forced``."""
    batch, prompt = mask.shape
    steps = codes.shape[1]
    total = prompt + steps - 1
    full = np.concatenate((mask, np.ones((batch, steps - 1), dtype=np.int64)), axis=1)
    rows = np.arange(batch * total).reshape(batch, total)[:, prompt - 1 :]
    cache = np.empty((batch, dims.num_key_value_heads, 0, dims.head_dim), dtype=np.float32)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {
        "input_ids": np.concatenate((text, codes[:, :-1]), axis=1),
        "text_mask": np.broadcast_to(np.arange(total) < prompt, (batch, total)).copy(),
        "speaker": speaker,
        "attention_mask": full,
        "position_ids": np.maximum(full.cumsum(1) - 1, 0),
        "logits_index": rows.reshape(-1),
    }
    feed |= {i.name: cache for i in session.get_inputs() if i.name not in feed}
    hidden, logits = session.run(["hidden", "logits"], feed)
    return hidden.reshape(batch, steps, -1), logits.reshape(batch, steps, *logits.shape[1:])


def _run(path: Path, feed: Array) -> Array:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    output: Array = session.run(None, {session.get_inputs()[0].name: feed})[0]
    return output


def _error(found: Array, expected: Array) -> float:
    """Relative error; for codes the share that differs."""
    if not np.issubdtype(expected.dtype, np.floating):
        return float(np.mean(found != expected))
    return float(np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected)))))
