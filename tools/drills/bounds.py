"""What once went wrong and is held by tests: memory that small files took, outputs that replaced
what was no file, logs and pages that knew too much.

``python -m tools.drills.bounds``, a minute.  Writes ``reports/reliability/bounds.json``.  What was
"before" was seen at commit 55d035a.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from pipeline.core.command import command
from tools.drills.outcomes import tested
from tools.drills.record import write_record


class Bound(NamedTuple):
    """A promise, the tests that try to break it (``path``, ``names`` as ``-k`` has them), how they
    try, and what came of it."""

    promise: str
    path: str
    names: str
    how: str
    result: str


BOUNDS = (
    Bound(
        "A recording takes bounded memory at any rate, and rates that no recording has are refused "
        "by name",
        "tests/chattts_onnx/audio/test_resample.py",
        "any_rate or no_recording",
        "primes and limits between 1 Hz and 2^32 - 1",
        "at most 64 MiB for two seconds (before: 1.9 GB for 440 kB at 400,009 Hz, over 6.9 GB for "
        "1.76 MB at 1,600,033)",
    ),
    Bound(
        "A workbook of any extent is read within bounds or refused by name",
        "tests/chattts_onnx/voices/test_sheets.py",
        "any_extent",
        "cells far out, repeated ones and long ones, in XLSX and ODS",
        "each in a process of its own (before: 1.4 kB ended the process, 741 bytes took 2.8 GB)",
    ),
    Bound(
        "An output goes through devices, pipes and links, and replaces none of them",
        "tests/chattts_onnx/cli/test_outputs.py",
        "",
        "every format to a device, a pipe, links of each kind and a full disk",
        "each stays what it is (before: devices, pipes and links were replaced)",
    ),
    Bound(
        "A download touches no file of the user",
        "tests/chattts_onnx/archive/test_fetch.py",
        "user_s or not_followed",
        "archives of the same name, and links where parts are put",
        "the files stay (before: an archive of that name was overwritten, then removed)",
    ),
    Bound(
        "Neither the query nor the text of a WebSocket reaches a log",
        "tests/chattts_onnx/serve/test_session.py",
        "neither_query",
        "a text and a key in the address, logs at DEBUG",
        "method, path and status alone (before: the whole address)",
    ),
    Bound(
        "A page of another site can use no server on this machine, whatever its name leads to",
        "tests/chattts_onnx/serve/test_origin.py",
        "",
        "foreign names, pages, addresses and pre-flights, on each path",
        "refused with 403 (before: any Host and Origin could list jobs and start them)",
    ),
    Bound(
        "A record of MLflow is read where it was copied to",
        "tests/pipeline/tracking/test_record.py",
        "copied or earlier_version",
        "the folder copied elsewhere, and one with places as an earlier version wrote them",
        "artifacts and models are found (before: none, and the champion failed to load)",
    ),
    Bound(
        "A checkpoint whose sizes fit no model is refused before anything is made of them",
        "tests/pipeline/checkpoint/test_dims.py",
        "wrong_config",
        "layers, heads and other sizes of no model",
        "refused by name (before: a million layers hung)",
    ),
)


@command("drills")
def main() -> int:
    """Entry point: 0 when every promise held, 1 when one was broken, 2 for an error."""
    rows = [tested("files", *bound) for bound in BOUNDS]
    print(write_record("bounds", rows))
    return int(any(row.broken for row in rows))


if __name__ == "__main__":
    sys.exit(main())
