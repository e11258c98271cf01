"""Runs made up of chosen numbers."""

from __future__ import annotations

from typing import Any

from pipeline.studies.load.measure import CONTINUOUS, RAMP, Run

RATE = 24_000


def request(
    first: float, total: float, error: str | None = None, at: float = 0.0
) -> dict[str, Any]:
    size = 0 if error else 2 * RATE
    sample = {"user": 0, "at": 1000.0 + at, "total": total, "bytes": size}
    return {**sample, "first_audio": None if error else first, "stall": 0.0, "error": error}


def made(
    requests: list[dict[str, Any]],
    memory: list[float] | None = None,
    kind: str = RAMP,
    system: str = CONTINUOUS,
    seconds: float = 30.0,
    target: str = "mini",
    code: str = "0123abc",
) -> Run:
    """``memory`` in bytes, once a second."""
    values = memory or [1e8] * round(seconds)
    return Run(
        target=target,
        system=system,
        kind=kind,
        seconds=seconds,
        checkpoint={"name": "mini", "kind": "seeded", "source": "seed:1", "variant": "int8"},
        requests=requests,
        server=[[float(i), value, 0.5 * i] for i, value in enumerate(values)],
        sample_rate=RATE,
        metrics={},
        code=code,
        bundle="bundle-hash",
    )
