"""Gates as a search sees them: how far a candidate is from keeping all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import ConfigError
from pipeline.fidelity.validate import METRICS
from pipeline.report.gates import GateConfig, GateResult, check_gates, judge
from pipeline.report.rows import Row, select

CONFIG = "conf/search"


@dataclass(frozen=True)
class Verdict:
    """Gates over some rows.

    Attributes:
        results: of each gate that any row matches.
        violation: sum of how far each broken gate is beyond its limit, as shares of what the limit
            allows; 0 where all are kept.
    """

    results: list[GateResult]
    violation: float

    @property
    def passed(self) -> bool:
        """Whether every gate is kept."""
        return self.violation == 0


def chosen_gates(
    gates: Mapping[str, list[GateConfig]],
    variant: str,
    stricter: Sequence[GateConfig],
    margin: float,
) -> list[GateConfig]:
    """The gates of ``variant`` with ``stricter`` ones in place of their like, tightened by
    ``margin``.

    Raises:
        ConfigError: there are none, or one names a metric or condition that does not exist.
    """
    if variant not in gates:
        raise ConfigError(
            f"search.variant: found {variant!r}, expected one of conf/validate's gates: "
            f"{', '.join(sorted(gates))}"
        )
    merged = {(g.metric, tuple(sorted(g.where.items()))): g for g in gates[variant]}
    merged |= {(g.metric, tuple(sorted(g.where.items()))): g for g in stricter}
    check_gates({variant: list(merged.values())}, [variant], METRICS, CONFIG)
    return [_tightened(gate, margin) for gate in merged.values()]


def _tightened(gate: GateConfig, margin: float) -> GateConfig:
    sign = 1 if gate.direction == "max" else -1
    return replace(gate, limit=gate.limit - sign * margin * _allowed(gate.metric, gate.limit))


def verdict(rows: Sequence[Row], gates: Sequence[GateConfig], variant: str) -> Verdict:
    """Judge ``rows`` by those gates that concern them."""
    results: list[GateResult] = []
    for gate in gates:
        if select(rows, gate.metric, **gate.where):
            results += judge(rows, {variant: [gate]}, CONFIG)
    return Verdict(results, sum(_excess(result) for result in results))


def _excess(result: GateResult) -> float:
    if result.passed:
        return 0.0
    if result.value is None:
        return math.inf
    allowed = _allowed(result.metric, result.limit)
    return abs(result.value - result.limit) / max(allowed, 1e-9)


def _allowed(metric: str, limit: float) -> float:
    """How far from an exact match the limit is; from 0 where no value stands for one."""
    best = METRICS[metric].best if metric in METRICS else None
    return abs(limit - (best or 0.0))
