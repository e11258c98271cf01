"""Write ``docs/reliability.md`` from what the drills found: ``python -m tools.drills.page``."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.command import command
from tools.drills.record import FOLDER, Promise, read_records

PAGE = Path("docs/reliability.md")
TITLES = {
    "files": "Files",
    "faults": "Faults",
    "determinism": "Determinism",
    "server": "Server",
    "numbers": "Numbers",
    "text": "Text",
    "tests": "Tests",
}
HEADER = """# What you may rely on

Each row is a promise, how it was tried, how often, and what came of it. Made by `python -m
tools.drills.page` from the records in `reports/reliability/`, which the commands in the second
column write; short forms of the same attempts run with the tests. What attackers can reach, and
what stands in their way, is in the [threat model](threat-model.md).
"""


def render(promises: list[Promise]) -> str:
    """The page, a table for each area."""
    order = list(TITLES)
    ordered = sorted(promises, key=lambda row: order.index(row.area))
    blocks = [HEADER]
    for area, rows in groupby(ordered, key=lambda row: row.area):
        table = list(rows)
        lines = [
            f"## {TITLES[area]}\n",
            "| promise | how it was tried | count | broken | result |",
            "|---|---|---:|---:|---|",
        ]
        for row in table:
            count = f"{row.count:,} {row.unit}"
            cells = (row.promise, row.tried, count, str(row.broken), row.result)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        if area == "tests":
            lines.append(_share(table))
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _share(rows: list[Promise]) -> str:
    count, unheld = sum(row.count for row in rows), sum(row.broken for row in rows)
    return (
        f"\nIn these {len(rows)} modules {unheld} of {count} mutants that change anything are "
        f"noticed by no test: {unheld / max(count, 1):.1%} (the aim: 3 % at most)."
    )


@command("drills")
def main() -> int:
    """Entry point; exit status 2 for an error."""
    write_text(PAGE, render(read_records(FOLDER)))
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
