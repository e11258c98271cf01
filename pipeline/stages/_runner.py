"""What every stage does around its own work: read parameters, report, turn errors into messages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pipeline.config import Params, load_params
from pipeline.core.command import command
from pipeline.core.tools import check_tools


def stage_main(name: str, run: Callable[[Params, Path], None]) -> None:
    """Run a stage in the current folder (the workspace, which holds ``params.yaml``) and exit.

    Exit status: see :func:`pipeline.core.command.command`.
    """

    @command(name)
    def main() -> int:
        started = time.monotonic()
        workspace = Path.cwd()
        params = load_params(workspace / "params.yaml")
        check_tools(params.tools)
        run(params, workspace)
        spent = time.monotonic() - started
        Console(stderr=True).print(f"[green]{name}[/] done in {spent:.1f} s")
        return 0

    if status := main():
        sys.exit(status)
