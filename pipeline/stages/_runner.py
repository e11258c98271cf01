"""What every stage does around its own work: read parameters, report, turn errors into messages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from chattts_onnx.errors import ChatTTSError
from pipeline.config import Params, load_params
from pipeline.core.tools import check_tools

EXIT_USER_ERROR = 2


def stage_main(name: str, run: Callable[[Params, Path], None]) -> None:
    """Run a stage in the current folder (the workspace, which holds ``params.yaml``) and exit.

    Exit status: 0 on success, 2 with a one-paragraph message for a named error; anything else is
    a fault of the pipeline and keeps its traceback.
    """
    console = Console(stderr=True)
    started = time.monotonic()
    try:
        workspace = Path.cwd()
        params = load_params(workspace / "params.yaml")
        check_tools(params.tools)
        run(params, workspace)
    except ChatTTSError as error:
        console.print(f"[bold red]{name}: {type(error).__name__}:[/] ", end="")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(EXIT_USER_ERROR)
    except MemoryError as error:
        found = str(error) or "no more of it"
        advice = "nothing is half-written, free some and run again"
        console.print(
            f"{name}: MemoryError: found {found}; {advice}", markup=False, highlight=False
        )
        sys.exit(EXIT_USER_ERROR)
    console.print(f"[green]{name}[/] done in {time.monotonic() - started:.1f} s")
