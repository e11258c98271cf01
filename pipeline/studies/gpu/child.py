"""One task in a process of its own: ``python -m pipeline.studies.gpu.child`` with JSON on stdin.

Rows are appended to a file as they are made, so that a crash or a stop loses none before it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.studies.gpu.plan import run_task
from pipeline.studies.gpu.setup import Setup


def work(request: dict[str, Any]) -> None:
    """Run the task of ``request`` {"task", "call", "setup", "arguments", "rows"}."""
    rows = Path(request["rows"])
    setup = Setup.of(request["setup"])
    for row in run_task(request["call"], setup, request["arguments"]):
        line = json.dumps({"task": request["task"], "row": row}, ensure_ascii=False, default=float)
        with rows.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    work(json.load(sys.stdin))
