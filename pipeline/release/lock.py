"""Is ``dvc.lock`` of what is checked out?  ``python -m pipeline.release.lock``.

In a clone without DVC's cache every output is missing, and DVC says so.  What must not differ is
what git keeps: code, parameters, sentences, reports.  A difference there means that something was
changed without running the pipeline, so that the bundles a ``dvc pull`` brings are of other code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.command import command
from pipeline.core.errors import ReleaseError

# Missing ones are outputs that git does not keep.
HARMLESS = frozenset({"deleted", "not in cache"})


def stale(status: dict[str, Any]) -> list[str]:
    """What differs, one line each, from the output of ``dvc status --json``."""
    return [
        f"{stage}: {what} is {how}"
        for stage, reasons in sorted(status.items())
        for what, how in _differences(reasons)
        if how not in HARMLESS
    ]


def _differences(reasons: Any) -> Iterator[tuple[str, str]]:
    for reason in reasons:
        if isinstance(reason, str):
            yield "the command", reason
            continue
        for kind, entries in reason.items():
            if kind not in ("changed deps", "changed outs"):
                yield kind, str(entries)
                continue
            for path, how in entries.items():
                # parameters: {"params.yaml": {"tools.onnx": "modified"}}
                nested = how.items() if isinstance(how, dict) else [(path, how)]
                yield from ((str(name), str(state)) for name, state in nested)


def read_status(folder: Path) -> dict[str, Any]:
    """``dvc status --json`` of a folder.

    Raises:
        ReleaseError: DVC fails there.
    """
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"{folder}: dvc status failed: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


@command("lock")
def main() -> int:
    """Entry point: exit status 1 and what differs where the lock file is stale."""
    found = stale(read_status(Path.cwd()))
    for line in found:
        print(line)
    if found:
        print("dvc.lock is stale; run `dvc repro` and commit dvc.lock with reports/")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
