"""What the pipeline made, on one screen: ``python -m pipeline.summary``."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.core.command import command
from pipeline.headline import COLUMNS
from pipeline.report.measured import read_measured
from pipeline.report.metrics import table_cells
from pipeline.report.rows import Rows, variants_of

PAGE = "listen.html"


def table(rows: Rows) -> Table:
    """One line a variant; a dash where a variant was not measured."""
    header, *lines = table_cells(rows, COLUMNS)
    result = Table(title="variants against the FP32 PyTorch reference")
    result.add_column(header[0], no_wrap=True)
    for heading in header[1:]:
        result.add_column(heading, justify="right")
    for line in lines:
        result.add_row(*line)
    return result


@command("summary")
def main() -> int:
    """Entry point: print the table and the wav files of the workspace in the current folder."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    measured = read_measured(Path.cwd())
    rows = measured.rows
    console.print(table(rows))
    for note in measured.busy:
        console.print(note.replace("**", ""), style="bold red", highlight=False)
    console.print("to listen to:")
    for variant in variants_of(rows):
        for path in sorted((Path.cwd() / "samples" / variant).glob("*.wav")):
            console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
    page = Path.cwd() / PAGE
    if page.is_file():
        console.print(f"  {page} (a browser's)", markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
