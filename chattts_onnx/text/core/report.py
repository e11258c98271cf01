"""What normalisation did to a text, entry by entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .tables import rows

# What the passes around the number rules do; a number rule says it itself.
REASONS = dict(rows("reasons"))


@dataclass(frozen=True)
class Change:
    """One replacement: ``found`` was read by rule ``kind`` as ``spoken`` (empty: left out).

    ``why`` says in a sentence what the rule reads.
    """

    kind: str
    found: str
    spoken: str
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        spoken = repr(self.spoken) if self.spoken else "left out"
        return f"{self.kind}: {self.found!r} -> {spoken}"


@dataclass
class Report:
    """Every change to a text, in the order of the passes that made them."""

    changes: list[Change] = field(default_factory=list)

    def add(self, kind: str, found: str, spoken: str, why: str = "") -> str:
        """Note a change; returns ``spoken``.  What stays as it was is not noted."""
        if found != spoken:
            self.changes.append(Change(kind, found, spoken, why or REASONS.get(kind, "")))
        return spoken

    @property
    def dropped(self) -> list[Change]:
        """The changes that left something out."""
        return [change for change in self.changes if not change.spoken.strip()]

    def counts(self) -> dict[str, int]:
        """Number of changes of each kind."""
        return dict(Counter(change.kind for change in self.changes))

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)


@dataclass(frozen=True)
class Normalized:
    """A speakable ``text`` and the ``report`` of what was done to get it."""

    text: str
    report: Report

    def __str__(self) -> str:
        return self.text
