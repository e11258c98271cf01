"""Attempts to break one promise, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tools.drills.record import Promise


@dataclass
class Attempts:
    """What came of a fault that was made several times.

    Attributes:
        area: as in :class:`tools.drills.record.Promise`, like the next three.
        promise: what is to hold.
        tried: the fault, in words.
        unit: what one attempt is, in the plural.
        told: what was seen -> how often.
        broken: what was wrong, an entry an attempt.
    """

    promise: str
    tried: str
    unit: str
    area: str = "faults"
    count: int = 0
    told: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, seen: str, problems: list[str]) -> None:
        """One more attempt, told at once, since some drills take long."""
        self.count += 1
        print(f"  {self.count} {self.unit}: {seen} {'; '.join(problems)}", flush=True)
        self.told[seen] += 1
        if problems:
            self.broken.append("; ".join(problems))

    def row(self, command: str) -> Promise:
        """The row of the record; ``command`` is what made the attempts."""
        seen = ", ".join(f"{name}: {count}" for name, count in sorted(self.told.items()))
        wrong = f" Broken: {' / '.join(sorted(set(self.broken)))[:600]}" if self.broken else ""
        return Promise(
            self.area,
            self.promise,
            f"`{command}`: {self.tried}",
            self.count,
            self.unit,
            len(self.broken),
            seen + wrong,
        )
