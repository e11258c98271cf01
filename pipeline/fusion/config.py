"""Parameters of the ``fuse`` group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FuseConfig:
    """Which rewrite rules run, and how exact the result must be.

    ``disabled`` names rules to leave out, for measuring what one is worth; rules that build on a
    disabled one can't match and fail.  ``tolerance`` bounds the error of the fused graphs against
    the plain ones, relative to the largest output (or 1, if that is larger).
    """

    disabled: list[str]
    tolerance: float
