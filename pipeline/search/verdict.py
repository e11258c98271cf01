"""Gates as a search sees them: how far a candidate is from keeping all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import ConfigError
from pipeline.fidelity.validate import METRICS
from pipeline.report.gates import GateConfig, GateResult, check_gate_names, judge
from pipeline.report.write import Row

SHARES = ("top1_agreement", "code_agreement", "hidden_cosine", "hidden_cosine_min")
"""Metrics whose best value is 1."""


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
    check_gate_names({variant: list(merged.values())}, [variant], METRICS)
    return [_tightened(gate, margin) for gate in merged.values()]


def _tightened(gate: GateConfig, margin: float) -> GateConfig:
    if gate.direction == "max":
        return replace(gate, limit=gate.limit * (1 - margin))
    if gate.metric in SHARES:
        return replace(gate, limit=gate.limit + margin * (1 - gate.limit))
    return replace(gate, limit=gate.limit * (1 + margin))


def verdict(rows: Sequence[Row], gates: Sequence[GateConfig], variant: str) -> Verdict:
    """Judge ``rows`` by those gates that concern them."""
    results: list[GateResult] = []
    for gate in gates:
        if any(_matches(row, gate) for row in rows):
            results += judge(rows, {variant: [gate]})
    return Verdict(results, sum(_excess(result) for result in results))


def _matches(row: Row, gate: GateConfig) -> bool:
    if row["metric"] != gate.metric:
        return False
    return all(str(row.get(key)) == str(value) for key, value in gate.where.items())


def _excess(result: GateResult) -> float:
    if result.passed:
        return 0.0
    if result.value is None:
        return math.inf
    allowed = 1 - result.limit if result.metric in SHARES else abs(result.limit)
    return abs(result.value - result.limit) / max(allowed, 1e-9)
