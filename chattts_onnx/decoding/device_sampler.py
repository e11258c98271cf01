"""The sampler of :mod:`chattts_onnx.decoding.sampling` as ONNX nodes, to run where the logits are.

Same order, same formulas and same precision in each step as the NumPy form: scores in float32,
probabilities in float64, inversion of the cumulative distribution by uniform numbers that the host
draws.  So both give the same tokens, unless a probability lies within rounding of a threshold.

It sorts the whole vocabulary instead of its ``top_k`` largest: settings differ from row to row and
step to step, and a CUDA graph has fixed shapes.  Every operator has a CUDA kernel for the types
used here, none needs shapes on the host, and none has a result that depends on thread order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..format.manifest import ModelInfo
from .graph_fragment import Fragment
from .sampling import MIN_TOKENS_TO_KEEP, PENALTY_WINDOW, Settings

PREFIX = "sampler"
NOT_FINITE = -1
"""Code drawn for a row whose logits hold NaN or infinity."""


@dataclass(frozen=True)
class Field:
    """One input of the sampler, [batch, *shape], and what an idle row holds."""

    dtype: str
    shape: tuple[int, ...]
    idle: float

    def empty(self, rows: int) -> np.ndarray:
        """An array for ``rows`` idle rows."""
        return np.full((rows, *self.shape), self.idle, dtype=self.dtype)


def sampler_fields(model: ModelInfo) -> dict[str, Field]:
    """The sampler's inputs besides the logits.

    ``history`` holds the last tokens of each head, oldest first, -1 = none yet; ``first`` is the
    place, counted from the smallest score, of the ``top_k``-th largest.
    """
    heads = model.num_vq
    return {
        "history": Field("int64", (PENALTY_WINDOW, heads), -1),
        "uniforms": Field("float64", (heads,), 0.5),
        "temperature": Field("float32", (1, 1), 1),
        "penalty": Field("float64", (1, 1), 1),
        "top_p": Field("float64", (1, 1), 1),
        "first": Field("int64", (heads, 1), 0),
        "forbid_end": Field("bool", (1, 1), False),
    }


def settings_columns(settings: Settings, model: ModelInfo) -> dict[str, np.ndarray]:
    """Sampling settings of rows in the form of the sampler's inputs."""
    rows, vocab = len(settings.temperature), model.num_audio_tokens
    limit = np.where(settings.top_k > 0, np.maximum(settings.top_k, MIN_TOKENS_TO_KEEP), vocab)
    first = vocab - np.minimum(limit, vocab)
    return {
        "temperature": settings.temperature.astype(np.float32).reshape(rows, 1, 1),
        "penalty": settings.penalty.reshape(rows, 1, 1),
        "top_p": settings.top_p.reshape(rows, 1, 1),
        "first": np.repeat(first.astype(np.int64), model.num_vq).reshape(rows, model.num_vq, 1),
    }


def build_sampler(model: ModelInfo, fragment: Fragment) -> str:
    """Add the sampler behind a graph's ``logits``; returns the name of codes int64 [batch, heads].

    Inputs are those of :func:`sampler_fields` under the prefix ``sampler/``.
    """
    f = fragment
    names = {
        name: f.input(f"{PREFIX}/{name}", field.dtype, ("batch", *field.shape))
        for name, field in sampler_fields(model).items()
    }
    last = f.constant([model.num_audio_tokens - 1], "int64")
    finite = _finite(f)
    # What follows must not see NaN: it would lead to places outside the vocabulary.
    usable = f.op("Where", finite, "logits", f.constant(0, "float32"))
    scores = f.op("Div", usable, names["temperature"])
    scores = _penalize(f, scores, names["history"], names["penalty"])
    ascending = f.constant([model.num_audio_tokens], "int64")
    values, index = f.ops("TopK", scores, ascending, count=2, axis=-1, largest=0, sorted=1)
    weights = _weights(f, values, index, names, model, last)
    chosen = _draw(f, weights, names["uniforms"], last)
    drawn = f.op("GatherElements", index, chosen, axis=2)
    codes = f.op("Where", finite, drawn, f.constant(NOT_FINITE, "int64"))
    return f.op("Squeeze", codes, f.constant([2], "int64"))


def standalone_sampler(model: ModelInfo, opset: int = 21) -> bytes:
    """The sampler as a model of its own: ``logits`` and the other inputs to ``codes``."""
    fragment = Fragment(PREFIX)
    fragment.input("logits", "float32", ("batch", model.num_vq, model.num_audio_tokens))
    codes = build_sampler(model, fragment)
    fragment.op("Identity", codes, output="codes")
    fragment.output("codes", "int64", ("batch", model.num_vq))
    return fragment.standalone("sampler", opset)


def _penalize(f: Fragment, scores: str, history: str, penalty: str) -> str:
    """Scale the scores of the last tokens by penalty**count, up or down by their sign."""
    tokens = f.op("Transpose", history, perm=[0, 2, 1])
    # -1 (none yet) becomes 0 with a count of its own: equal places get equal values, so the
    # scatter's order does not matter.
    places = f.op("Max", tokens, f.constant([0], "int64"))
    left = f.op("Unsqueeze", places, f.constant([3], "int64"))
    right = f.op("Unsqueeze", tokens, f.constant([2], "int64"))
    equal = f.cast(f.op("Equal", left, right), "float64")
    count = f.op("ReduceSum", equal, f.constant([3], "int64"), keepdims=0)
    alpha = f.op("Pow", penalty, count)
    old = f.cast(f.op("GatherElements", scores, places, axis=2), "float64")
    negative = f.op("Less", old, f.constant(0, "float64"))
    new = f.op("Where", negative, f.op("Mul", old, alpha), f.op("Div", old, alpha))
    return f.op("ScatterElements", scores, places, f.cast(new, "float32"), axis=2)


def _weights(
    f: Fragment, values: str, index: str, names: dict[str, str], model: ModelInfo, last: str
) -> str:
    """Weights float64 [batch, heads, vocab] of the sorted tokens: 0 where removed."""
    vocab = model.num_audio_tokens
    below = f.op("Sub", values, f.op("Gather", values, last, axis=2))
    axis = f.constant([2], "int64")
    total = f.op("ReduceSum", f.cast(f.op("Exp", below), "float64"), axis, keepdims=1)
    mass = f.op("CumSum", f.op("Exp", f.cast(below, "float64")), f.constant(2, "int64"))
    rest = f.op("Sub", total, f.op("Gather", mass, last, axis=2))
    least_mass = f.op("Mul", f.op("Sub", f.constant(1, "float64"), names["top_p"]), total)
    top_p = f.op("Greater", f.op("Add", mass, rest), least_mass)
    always = f.constant((np.arange(vocab) >= vocab - MIN_TOKENS_TO_KEEP)[None, None], "bool")
    least = f.op("GatherElements", values, names["first"], axis=2)
    top_k = f.op("GreaterOrEqual", values, least)
    end = f.op("Equal", index, f.constant(model.end_token, "int64"))
    allowed = f.op("Not", f.op("And", end, names["forbid_end"]))
    keep = f.op("And", f.op("And", f.op("Or", top_p, always), top_k), allowed)
    kept = f.op("Where", keep, values, f.constant(-np.inf, "float32"))
    # Relative to the best of them: a forbidden end may outweigh all others beyond float64.
    best = f.op("ReduceMax", kept, axis, keepdims=1)
    return f.op("Exp", f.cast(f.op("Sub", kept, best), "float64"))


def _draw(f: Fragment, weights: str, uniforms: str, last: str) -> str:
    """Places int64 [batch, heads, 1] by inverting the cumulative distribution."""
    cumulative = f.op("CumSum", weights, f.constant(2, "int64"))
    whole = f.op("Gather", cumulative, last, axis=2)
    share = f.op("Mul", f.op("Unsqueeze", uniforms, f.constant([2], "int64")), whole)
    # whole * (1 - 2**-53) rounds to the next smaller number, whatever whole is.
    highest = f.op("Mul", whole, f.constant(1 - 2.0**-53, "float64"))
    passed = f.op("LessOrEqual", cumulative, f.op("Min", share, highest))
    axis = f.constant([2], "int64")
    return f.cast(f.op("ReduceSum", f.cast(passed, "float32"), axis, keepdims=1), "int64")


def _finite(f: Fragment) -> str:
    """Bool [batch, 1, 1]: no NaN and no infinity among a row's logits (both times 0 are NaN)."""
    zeros = f.op("Mul", "logits", f.constant(0, "float32"))
    axes = f.constant([1, 2], "int64")
    summed = f.op("ReduceSum", zeros, axes, keepdims=1)
    return f.op("Equal", summed, f.constant(0, "float32"))
