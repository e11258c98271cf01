"""Settings of one generation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

from ..errors import InputError
from ..untrusted import brief

_KINDS: dict[str, type] = {
    "temperature": Real,
    "top_p": Real,
    "top_k": Integral,
    "repetition_penalty": Real,
    "max_new_tokens": Integral,
    "min_new_tokens": Integral,
    "retries": Integral,
    "takes": Integral,
}


@dataclass(frozen=True)
class GenerationParams:
    """Sampling settings and limits; the defaults are those of ChatTTS's code pass.

    ``top_k`` 0 switches top-k off.  Top-p and top-k keep at least 3 candidates, so there is no
    greedy mode.  ``max_new_tokens`` and ``min_new_tokens`` count steps.  ``retries`` is how often
    an utterance that would end at its first step is drawn anew, ``takes`` how many takes there may
    be of one that goes wrong otherwise, each with the next seed.  ``reseed_each_step`` starts the
    random numbers over before each step as ChatTTS's ``manual_seed`` does; the default is one
    stream of random numbers.
    """

    temperature: float = 0.3
    top_p: float = 0.7
    top_k: int = 20
    repetition_penalty: float = 1.05
    max_new_tokens: int = 2048
    min_new_tokens: int = 0
    retries: int = 8
    takes: int = 3
    reseed_each_step: bool = False

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            _require_number(name, getattr(self, name), kind)
        _require(0 < self.temperature < math.inf, "temperature", self.temperature, "above 0")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        _require(self.top_k >= 0, "top_k", self.top_k, "0 (off) or more")
        penalty = self.repetition_penalty
        _require(0 < penalty < math.inf, "repetition_penalty", penalty, "above 0")
        _require(self.max_new_tokens >= 1, "max_new_tokens", self.max_new_tokens, "at least 1")
        _require(self.retries >= 0, "retries", self.retries, "at least 0")
        _require(self.takes >= 1, "takes", self.takes, "at least 1")
        _require(
            0 <= self.min_new_tokens <= self.max_new_tokens,
            "min_new_tokens",
            self.min_new_tokens,
            f"between 0 and max_new_tokens ({self.max_new_tokens})",
        )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GenerationParams:
        """From a manifest's ``generation`` entry; unknown keys raise :class:`InputError`."""
        known = {f.name for f in fields(cls)}
        if unknown := set(values) - known:
            raise InputError(
                f"unknown generation settings {brief(sorted(unknown))}; known: {sorted(known)}."
            )
        return cls(**values)

    def but(self, **changes: Any) -> GenerationParams:
        """A copy with some settings changed."""
        return replace(self, **changes)


def _require_number(name: str, found: object, kind: type) -> None:
    if not isinstance(found, kind) or isinstance(found, bool):
        what = "a whole number" if kind is Integral else "a number"
        raise InputError(f"{name} is {brief(found)}; expected {what}.")


def _require(valid: bool, name: str, found: object, expected: str) -> None:
    if not valid:
        raise InputError(f"{name} is {brief(found)}; expected a value {expected}.")
