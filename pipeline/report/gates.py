"""Gates: numbers a variant has to keep, or the pipeline stops."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import ConfigError, GateError
from pipeline.report.write import format_value, markdown_table

NOT_FINITE = "not_finite"
"""Metric of a variant that gave NaN or infinity; its row says where, and it has no other."""

DIRECTIONS = ("min", "max")


@dataclass(frozen=True)
class GateConfig:
    """One number a variant has to keep.

    Attributes:
        metric: name of a metric of the validation report.
        direction: ``max`` where ``limit`` is the highest value allowed, ``min`` the lowest.
        limit: the limit, in the metric's unit.
        where: condition columns that choose among the metric's rows, for example
            ``{head: all}``; every row that matches has to keep the limit.
    """

    metric: str
    direction: str
    limit: float
    where: dict[str, str]

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ConfigError(
                f"gate on {self.metric}: direction is {self.direction!r}, expected min or max."
            )


Gates = Mapping[str, Sequence[GateConfig]]


@dataclass(frozen=True)
class GateResult:
    """A gate's verdict over the worst of the rows it matches; ``value`` in the metric's unit."""

    variant: str
    metric: str
    where: dict[str, str]
    direction: str
    limit: float
    value: float | None
    passed: bool

    def describe(self) -> str:
        """One line that names variant, metric, value and limit."""
        conditions = ", ".join(f"{key} {value}" for key, value in self.where.items())
        place = f" ({conditions})" if conditions else ""
        found = "not a number" if self.value is None else f"{self.value:.6g}"
        bound = "at most" if self.direction == "max" else "at least"
        return f"{self.variant}: {self.metric}{place} is {found}, expected {bound} {self.limit:g}"

    def as_dict(self) -> dict[str, Any]:
        """For the report's context."""
        return asdict(self)


def check_gate_names(
    gates: Gates, variants: Collection[str], metrics: Mapping[str, Collection[str]]
) -> None:
    """Refuse gates that nothing will ever be measured for, before any work begins.

    Args:
        gates: limits by variant.
        variants: the variants that will be judged.
        metrics: condition columns of each metric that will be measured.

    Raises:
        ConfigError: a gate names an unknown variant, metric or condition column.
    """
    for variant, limits in gates.items():
        if variant not in variants:
            raise ConfigError(
                f"conf/validate gates: unknown variant {variant!r}, "
                f"expected one of {', '.join(sorted(variants))}."
            )
        for gate in limits:
            _check_gate(variant, gate, metrics)


def _check_gate(variant: str, gate: GateConfig, metrics: Mapping[str, Collection[str]]) -> None:
    place = f"conf/validate gates, variant {variant}"
    if gate.metric not in metrics:
        raise ConfigError(
            f"{place}: unknown metric {gate.metric!r}, "
            f"expected one of {', '.join(sorted(metrics))}."
        )
    unknown = set(gate.where) - set(metrics[gate.metric])
    if unknown:
        columns = ", ".join(sorted(metrics[gate.metric])) or "none"
        raise ConfigError(
            f"{place}: {gate.metric} has no condition {', '.join(sorted(unknown))}, "
            f"expected one of {columns}."
        )


def judge(rows: Sequence[Mapping[str, Any]], gates: Gates) -> list[GateResult]:
    """Verdicts in the order of ``gates``; NaN fails, whatever the direction.

    A variant with a row of :data:`NOT_FINITE` has that verdict alone, with gates or without.

    Raises:
        ConfigError: a gate matches no row (a condition's value that does not occur).
    """
    damaged = [_not_finite(row) for row in rows if row["metric"] == NOT_FINITE]
    spoilt = {result.variant for result in damaged}
    return damaged + [
        _judge_one(rows, variant, gate)
        for variant in gates
        if variant not in spoilt
        for gate in gates[variant]
    ]


def _not_finite(row: Mapping[str, Any]) -> GateResult:
    where = {key: str(row[key]) for key in ("graph", "output", "place")}
    return GateResult(
        str(row["variant"]), NOT_FINITE, where, "max", 0.0, float(row["value"]), False
    )


def _judge_one(rows: Sequence[Mapping[str, Any]], variant: str, gate: GateConfig) -> GateResult:
    values = [
        float(row["value"])
        for row in rows
        if row["variant"] == variant
        and row["metric"] == gate.metric
        and all(str(row.get(key)) == str(value) for key, value in gate.where.items())
    ]
    if not values:
        raise ConfigError(
            f"conf/validate gates, variant {variant}: no row of {gate.metric} has "
            f"{gate.where}; see the conditions in reports/validation.md."
        )
    damaged = any(math.isnan(value) for value in values)
    worst = max(values) if gate.direction == "max" else min(values)
    kept = worst <= gate.limit if gate.direction == "max" else worst >= gate.limit
    return GateResult(
        variant=variant,
        metric=gate.metric,
        where=dict(gate.where),
        direction=gate.direction,
        limit=gate.limit,
        value=None if damaged else worst,
        passed=kept and not damaged,
    )


def enforce(results: Iterable[GateResult]) -> None:
    """Stop where a gate failed.

    Raises:
        GateError: names every variant, metric, value and limit that failed.
    """
    failed = [result.describe() for result in results if not result.passed]
    if failed:
        raise GateError(
            "; ".join(failed) + ". See reports/validation.md; a limit is changed in conf/validate."
        )


def gates_section(results: Sequence[GateResult]) -> str:
    """The verdicts as a Markdown section for the report."""
    if not results:
        return "## Gates\n\nNone configured."
    lines = [
        [
            result.variant,
            result.metric,
            ", ".join(f"{key} {value}" for key, value in result.where.items()) or "all",
            format_value(result.value),
            ("≤ " if result.direction == "max" else "≥ ") + f"{result.limit:g}",
            "passed" if result.passed else "**failed**",
        ]
        for result in results
    ]
    header = ["variant", "metric", "condition", "value", "limit", "verdict"]
    return "## Gates\n\n" + markdown_table(header, lines)
