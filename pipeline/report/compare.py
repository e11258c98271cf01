"""Two measurements of a variant, compared by rules: what got better, what got worse.

The same rules judge a new release against the last one and a candidate against the champion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.report.rows import select, variants_of

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

    def as_dict(self) -> dict[str, Any]:
        """For a baseline."""
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """A rule's verdict on one variant; ``share`` is (after - before) / before."""

    variant: str
    rule: Rule
    before: float | None
    after: float | None
    verdict: Verdict

    @property
    def share(self) -> float | None:
        """Relative change, None where there is nothing to relate."""
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / abs(self.before)

    def describe(self) -> str:
        """One line that names what got worse, and what was allowed."""
        found = "no longer measured" if self.after is None else f"{self.after:.6g}"
        bound = "lower" if self.rule.better == "higher" else "higher"
        return (
            f"{self.variant}: {self.rule.key} is {found}, was {self.before:.6g}; at most "
            f"{self.rule.tolerance:.1%} {bound} is allowed"
        )


def figures(rows: Iterable[Mapping[str, Any]], variant: str, rules: Sequence[Rule]) -> Figures:
    """The worst value of each rule among a variant's rows; rules without a row are left out."""
    found: dict[str, float] = {}
    own = [row for row in select(rows, variant=variant) if row["value"] is not None]
    for rule in rules:
        values = [float(row["value"]) for row in select(own, rule.metric, **rule.where)]
        if values:
            found[rule.key] = max(values) if rule.better == "lower" else min(values)
    return found


def flat_figures(
    rows: Sequence[Mapping[str, Any]], rules: Sequence[Rule]
) -> dict[str, dict[str, float]]:
    """The figures of every variant, the reference included; variants without any are left out."""
    found = {variant: dict(figures(rows, variant, rules)) for variant in variants_of(rows)}
    return {variant: values for variant, values in found.items() if values}


def compare(
    variant: str, before: Figures, after: Figures, rules: Sequence[Rule], same_machine: bool
) -> list[Change]:
    """Verdicts in the order of ``rules``; rules that neither side measured are left out."""
    changes = []
    for rule in rules:
        old, new = before.get(rule.key), after.get(rule.key)
        if old is None and new is None:
            continue
        changes.append(Change(variant, rule, old, new, _verdict(rule, old, new, same_machine)))
    return changes


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
