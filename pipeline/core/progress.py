"""The progress bar of a stage that knows how many steps it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[str], None]


@contextmanager
def progress_bar(name: str, total: int) -> Iterator[Advance]:
    """Yield a function that says what is done and moves the bar by one of ``total``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda text: bar.update(task, advance=1, description=f"{name}: {text}")
