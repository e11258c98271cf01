"""Two measurements of a variant, compared by rules: what got better, what got worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.report.rows import select

Figures = Mapping[str, float]
"""Value of each rule's :attr:`Rule.key`, for one variant."""

Verdict = Literal["better", "same", "worse", "new", "gone", "other machine"]
# What says how fast a machine is; memory and versions do not.
MACHINE_KEYS = ("cpu", "cores", "isa")


@dataclass(frozen=True)
class Rule:
    """How one number is compared.

    Attributes:
        metric: name in a report's rows.
        where: conditions that choose among the metric's rows; the worst of those counts.
        better: which way is better.
        tolerance: worsening that is allowed, as a share of the earlier value.
        gain: improvement that counts as one, as a share of the earlier value.
        noise: differences up to this, in the metric's unit, count as none.
        machine_bound: comparable on the same kind of machine only.
    """

    metric: str
    where: dict[str, Any]
    better: Literal["lower", "higher"]
    tolerance: float
    gain: float
    noise: float
    machine_bound: bool

    @property
    def key(self) -> str:
        """Such as ``kl_divergence[head=all]``."""
        conditions = ",".join(f"{name}={value}" for name, value in self.where.items())
        return f"{self.metric}[{conditions}]" if conditions else self.metric


def figures(rows: Iterable[Mapping[str, Any]], variant: str, rules: Sequence[Rule]) -> Figures:
    """The worst value of each rule among a variant's rows; rules without a row are left out."""
    found: dict[str, float] = {}
    own = [row for row in select(rows, variant=variant) if row["value"] is not None]
    for rule in rules:
        values = [float(row["value"]) for row in select(own, rule.metric, **rule.where)]
        if values:
            found[rule.key] = max(values) if rule.better == "lower" else min(values)
    return found


def verdicts(
    before: Figures, after: Figures, rules: Sequence[Rule], same_machine: bool
) -> dict[str, Verdict]:
    """By the keys of ``rules``; those that neither side measured are left out."""
    found = {rule.key: (rule, before.get(rule.key), after.get(rule.key)) for rule in rules}
    return {
        key: _verdict(rule, old, new, same_machine)
        for key, (rule, old, new) in found.items()
        if old is not None or new is not None
    }


def same_machine(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two reports' machines are of one kind; False where one is unknown."""
    if not one or not other:
        return False
    return all(one.get(key) == other.get(key) for key in MACHINE_KEYS)


def _verdict(rule: Rule, old: float | None, new: float | None, same_machine: bool) -> Verdict:
    if old is None:
        return "new"
    if new is None:
        return "gone"
    if rule.machine_bound and not same_machine:
        return "other machine"
    gained = old - new if rule.better == "lower" else new - old
    if gained < -max(rule.tolerance * abs(old), rule.noise):
        return "worse"
    if gained > max(rule.gain * abs(old), rule.noise):
        return "better"
    return "same"
