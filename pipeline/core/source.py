"""Which code ran: the commit that is checked out, and what differs from it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ORIGIN = Path("build/origin.json")
"""Where a workspace notes which commit its reports are of."""
_TOP = Path(__file__).resolve().parents[2]
# What the pipeline itself rewrites while it runs is no change of its source.
RESULTS = ("reports", "dvc.lock")


@dataclass(frozen=True)
class Source:
    """The code that ran.

    Attributes:
        commit: hex, or ``unknown`` outside git.
        changed: tracked files that differ from it, results left out.
    """

    commit: str
    changed: list[str]

    def __str__(self) -> str:
        return f"{self.commit}-dirty" if self.changed else self.commit


def read_source(folder: Path) -> Source:
    """The commit that is checked out and what differs from it; never raises."""
    # A source archive may lie in a repository of something else.
    archive = folder.resolve().is_relative_to(_TOP) and not (_TOP / ".git").exists()
    commit = None if archive else _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return Source("unknown", [])
    outside = [f":(exclude,top){name}" for name in RESULTS]
    status = _git(folder, "status", "--porcelain", "-uno", "--", ":(top)", *outside) or ""
    return Source(commit.strip(), sorted(line[3:] for line in status.splitlines() if line))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
