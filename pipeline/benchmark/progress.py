"""The progress bar of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.benchmark.harness import Progress as Advance


@contextmanager
def progress_bar(total: int) -> Iterator[Advance]:
    """Yield a function that names what comes next and moves the bar by one of ``total``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("benchmark", total=total)

        def advance(text: str) -> None:
            bar.update(task, advance=1, description=f"benchmark: {text}")

        yield advance
