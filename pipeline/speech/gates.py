"""Gates on speech: a variant fails where even the better end of its interval breaks a limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import ConfigError, GateError
from pipeline.report.write import markdown_table
from pipeline.speech.config import SpeechGate
from pipeline.speech.drawing import with_interval
from pipeline.speech.figures import ALL, METRICS

KEPT, UNDECIDED, BROKEN = "kept", "undecided", "broken"

Gates = Mapping[str, Sequence[SpeechGate]]


@dataclass(frozen=True)
class SpeechVerdict:
    """A gate's verdict: ``kept``, ``undecided`` (the limit lies in the interval) or ``broken``."""

    variant: str
    metric: str
    language: str
    set: str
    direction: str
    limit: float
    value: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def name(self) -> str:
        """The metric, and the language and set where it is not over all."""
        parts = [part for part in (self.language, self.set) if part != ALL]
        return f"{self.metric} ({', '.join(parts)})" if parts else self.metric

    @property
    def bound(self) -> str:
        """The limit with its direction."""
        return ("≤ " if self.direction == "max" else "≥ ") + f"{self.limit:g}"

    @property
    def found(self) -> str:
        """The value with its interval."""
        return with_interval(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """For the report's context."""
        return asdict(self)


def check_gates(gates: Gates) -> None:
    """Refuse gates on what is never measured, before any work begins.

    Raises:
        ConfigError: a gate names an unknown metric.
    """
    for variant, limits in gates.items():
        for gate in limits:
            if gate.metric not in METRICS:
                raise ConfigError(
                    f"conf/speech gates, variant {variant}: unknown metric {gate.metric!r}, "
                    f"expected one of {', '.join(METRICS)}."
                )


def judge_speech(rows: Sequence[Mapping[str, Any]], gates: Gates) -> list[SpeechVerdict]:
    """Verdicts in the order of ``gates``; a value that is no number is broken.

    Raises:
        ConfigError: a gate matches no row (the change of the baseline itself, for instance).
    """
    return [_judge(rows, variant, gate) for variant in gates for gate in gates[variant]]


def _judge(rows: Sequence[Mapping[str, Any]], variant: str, gate: SpeechGate) -> SpeechVerdict:
    for row in rows:
        found = (row["variant"], row["metric"], row["language"], row["set"])
        if found == (variant, gate.metric, gate.language, gate.set):
            break
    else:
        raise ConfigError(
            f"conf/speech gates, variant {variant}: nothing is measured for {gate.metric} over the "
            f"language {gate.language} and the set {gate.set}; the baseline has no change."
        )
    value = None if row["value"] is None or math.isnan(row["value"]) else float(row["value"])
    bounds = {"low": row.get("low"), "high": row.get("high")}
    return SpeechVerdict(
        variant, gate.metric, gate.language, gate.set, gate.direction, gate.limit, value, **bounds,
        verdict=BROKEN if value is None else _verdict(gate, value, **bounds),
    )  # fmt: skip


def _verdict(gate: SpeechGate, value: float, low: float | None, high: float | None) -> str:
    sign = 1.0 if gate.direction == "max" else -1.0
    ends = [sign * (value if bound is None else bound) for bound in (low, high)]
    if max(ends) <= sign * gate.limit:
        return KEPT
    return BROKEN if min(ends) > sign * gate.limit else UNDECIDED


def enforce_speech(verdicts: Iterable[SpeechVerdict]) -> None:
    """Stop where a gate is broken.

    Raises:
        GateError: names every variant, metric, interval and limit.
    """
    broken = [
        f"{item.variant}: {item.name} is {item.found}, expected {item.bound}"
        for item in verdicts
        if item.verdict == BROKEN
    ]
    if broken:
        raise GateError(
            "; ".join(broken) + ". See reports/speech.md and listen.html; a limit is changed in "
            "conf/speech."
        )


def verdicts_section(verdicts: Sequence[SpeechVerdict]) -> str:
    """The verdicts as a Markdown section."""
    if not verdicts:
        return "## Gates\n\nNone."
    lines = [
        [
            item.variant,
            item.name,
            item.found,
            item.bound,
            f"**{item.verdict}**" if item.verdict == BROKEN else item.verdict,
        ]
        for item in verdicts
    ]
    table = markdown_table(["variant", "metric", "value [95 %]", "limit", "verdict"], lines)
    return f"## Gates\n\n{table}"
