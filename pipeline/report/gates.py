"""Gates: numbers a variant has to keep.

A row with an interval (``low`` and ``high``) breaks a limit where all of the interval lies beyond
it; where the limit lies within, it is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.core.errors import ConfigError, GateError
from pipeline.report.metrics import Metric
from pipeline.report.rows import select
from pipeline.report.write import format_value, markdown_table, with_interval

NOT_FINITE = Metric(name="not_finite", unit="graphs", better="lower", best=0.0)
"""Metric of a variant that gave NaN or infinity; its row says where, and it has no other."""

KEPT, UNDECIDED, BROKEN, UNMEASURED = "kept", "undecided", "broken", "not measured"
BETTER = {"max": "lower", "min": "higher"}


@dataclass(frozen=True)
class GateConfig:
    """One number a variant has to keep.

    Attributes:
        metric: name of a metric of the report.
        direction: ``max`` where ``limit`` is the highest value allowed, ``min`` the lowest.
        limit: the limit, in the metric's unit.
        where: condition columns that choose among the metric's rows, for example
            ``{head: all}``; every row that matches has to keep the limit.
    """

    metric: str
    direction: str
    limit: float
    where: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.direction not in BETTER:
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
    verdict: str
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it stops nothing."""
        return self.verdict != BROKEN

    @property
    def condition(self) -> str:
        """The conditions as one phrase."""
        return ", ".join(f"{key} {value}" for key, value in self.where.items())

    @property
    def bound(self) -> str:
        """The limit with its direction."""
        return ("≤ " if self.direction == "max" else "≥ ") + f"{self.limit:g}"

    def describe(self) -> str:
        """One line that names variant, metric, value and limit."""
        place = f" ({self.condition})" if self.where else ""
        absent = UNMEASURED if self.verdict == UNMEASURED else "not a number"
        exact = absent if self.value is None else f"{self.value:.6g}"
        found = exact if self.low is None else with_interval(asdict(self))
        return f"{self.variant}: {self.metric}{place} is {found}, expected {self.bound}"

    def as_dict(self) -> dict[str, Any]:
        """For the report's context."""
        return asdict(self)


def check_gates(
    gates: Gates, variants: Collection[str], metrics: Mapping[str, Metric], place: str
) -> None:
    """Refuse gates that nothing will ever be measured for, before any work begins.

    Args:
        gates: limits by variant.
        variants: the variants that will be judged.
        metrics: those that will be measured, by name.
        place: where the gates were configured, such as ``conf/validate``.

    Raises:
        ConfigError: a gate names an unknown variant, metric or condition column, or bounds a
            metric from the side that is better.
    """
    for variant, limits in gates.items():
        if variant not in variants:
            raise ConfigError(
                f"{place} gates: unknown variant {variant!r}, "
                f"expected one of {', '.join(sorted(variants))}."
            )
        for gate in limits:
            _check_gate(f"{place} gates, variant {variant}", gate, metrics)


def _check_gate(place: str, gate: GateConfig, metrics: Mapping[str, Metric]) -> None:
    metric = metrics.get(gate.metric)
    if metric is None:
        raise ConfigError(
            f"{place}: unknown metric {gate.metric!r}, "
            f"expected one of {', '.join(sorted(metrics))}."
        )
    unknown = set(gate.where) - set(metric.conditions)
    if unknown:
        columns = ", ".join(sorted(metric.conditions)) or "none"
        raise ConfigError(
            f"{place}: {gate.metric} has no condition {', '.join(sorted(unknown))}, "
            f"expected one of {columns}."
        )
    if metric.better not in ("", BETTER[gate.direction]):
        raise ConfigError(
            f"{place}: {gate.metric} has a gate {gate.direction}, but {metric.better} is better; "
            f"expected the other direction."
        )


def judge(
    rows: Sequence[Mapping[str, Any]], gates: Gates, place: str, *, partial: bool = False
) -> list[GateResult]:
    """Verdicts in the order of ``gates``; a value that is no number is broken.

    A variant with a row of :data:`NOT_FINITE` has that verdict alone, with gates or without.

    Args:
        rows: of a report.
        gates: limits by variant.
        place: where the gates were configured.
        partial: whether a gate that matches no row is ``not measured`` instead of an error.

    Raises:
        ConfigError: a gate matches no row (a condition's value that does not occur).
    """
    damaged = [_not_finite(row) for row in select(rows, NOT_FINITE.name)]
    spoilt = {result.variant for result in damaged}
    return damaged + [
        _judge_one(rows, variant, gate, place, partial)
        for variant in gates
        if variant not in spoilt
        for gate in gates[variant]
    ]


def _not_finite(row: Mapping[str, Any]) -> GateResult:
    where = {key: str(row[key]) for key in ("graph", "output", "place")}
    value = float(row["value"])
    return GateResult(str(row["variant"]), NOT_FINITE.name, where, "max", 0.0, value, BROKEN)


def _judge_one(
    rows: Sequence[Mapping[str, Any]], variant: str, gate: GateConfig, place: str, partial: bool
) -> GateResult:
    found = select(rows, gate.metric, variant, **gate.where)
    if not found and not partial:
        raise ConfigError(
            f"{place} gates, variant {variant}: nothing is measured for {gate.metric}"
            f"{f' with {gate.where}' if gate.where else ''}; the report has its conditions."
        )
    sign = 1.0 if gate.direction == "max" else -1.0
    value, bounds, verdict = None, (None, None), BROKEN if found else UNMEASURED
    if found and not any(_is_nan(row["value"]) for row in found):
        worst = max(found, key=lambda row: sign * row["value"])
        value, bounds = float(worst["value"]), (worst.get("low"), worst.get("high"))
        ends = [sign * (value if end is None else end) for end in bounds]
        limit = sign * gate.limit
        verdict = KEPT if max(ends) <= limit else BROKEN if min(ends) > limit else UNDECIDED
    return GateResult(
        variant, gate.metric, dict(gate.where), gate.direction, gate.limit, value, verdict, *bounds
    )


def _is_nan(value: Any) -> bool:
    return value is None or math.isnan(value)


def enforce(results: Iterable[GateResult], report: str, place: str) -> None:
    """Stop where a gate is broken.

    Args:
        results: verdicts.
        report: where a reader finds them, such as ``reports/validation.md``.
        place: where limits are configured.

    Raises:
        GateError: names every variant, metric, value and limit that is broken.
    """
    broken = [result.describe() for result in results if not result.passed]
    if broken:
        raise GateError(f"{'; '.join(broken)}. See {report}; a limit is changed in {place}.")


def verdict_line(results: Sequence[GateResult]) -> str:
    """What came of the gates, in one bold line that a report begins with."""
    broken = [result.describe() for result in results if result.verdict == BROKEN]
    if broken:
        return f"**Broken: {'; '.join(broken)}.**"
    if not results:
        return "**No gate is applied.**"
    undecided = sum(result.verdict == UNDECIDED for result in results)
    open_ones = f", {undecided} of them undecided by so few sentences" if undecided else ""
    return f"**No gate of {len(results)} is broken{open_ones}.**"


def gates_section(results: Sequence[GateResult]) -> str:
    """The verdicts as a Markdown section for the report."""
    return f"## Gates\n\n{gates_table([asdict(result) for result in results])}"


def gates_table(gates: Sequence[Mapping[str, Any]]) -> str:
    """Verdicts as a context has them, as a Markdown table."""
    if not gates:
        return "None."
    lines = []
    for gate in gates:
        result = GateResult(**gate)
        mark = "**" if result.verdict == BROKEN else ""
        lines.append(
            [
                result.variant,
                result.metric,
                result.condition or "all",
                with_interval(gate) if result.value is not None else format_value(None),
                result.bound,
                f"{mark}{result.verdict}{mark}",
            ]
        )
    header = ["variant", "metric", "condition", "value [95 %]", "limit", "verdict"]
    return markdown_table(header, lines)
