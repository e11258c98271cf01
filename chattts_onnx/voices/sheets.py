"""Voices in spreadsheet files: .xlsx and .xls of Excel, .ods of LibreOffice."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..errors import VoiceError
from ..untrusted import brief_text
from .tables import parse_cells

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
# Of one voice in a table with some words around it.
_MAX_CELLS = 100_000
_MAX_MEMORY = 1 << 30
_MAX_SECONDS = 20
# A cell far out, or one that is repeated, makes calamine take room for the whole sheet, and Rust
# aborts where there is none: so it reads in a process of its own, with bounds.
_READER = """
import json, sys
path, sheet, memory, seconds, most = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
import python_calamine
answer = {}
try:
    with python_calamine.CalamineWorkbook.from_path(path) as book:
        answer["names"] = book.sheet_names
        for name in book.sheet_names if not sheet else [sheet] if sheet in book.sheet_names else []:
            found = book.get_sheet_by_name(name)
            if found.total_height * found.total_width > most:
                raise MemoryError
            rows = [[repr(c) if isinstance(c, float) else str(c) for c in row]
                    for row in found.to_python()]
            if any(cell.strip() for row in rows for cell in row):
                answer["rows"] = rows
                break
except MemoryError:
    answer["large"] = True
except Exception as error:
    answer["error"] = str(error)[:300]
sys.stdout.buffer.write(json.dumps(answer).encode())
"""


def read_sheet(path: Path, hidden_size: int, sheet: str | None = None) -> list[float]:
    """Numbers of a workbook: of the sheet ``sheet``, else of the first that is not empty.

    They may stand as :func:`.parse_csv` takes them: in one column, one row or a table, with a
    header or without.  Needs python-calamine (``chattts-onnx[sheets]``).

    Raises :class:`VoiceError` where it is missing, the sheet is not there, the file is damaged or
    takes more room than a voice, ``ValueError`` on cells that are no numbers.
    """
    if importlib.util.find_spec("python_calamine") is None:
        raise VoiceError(
            f"{path} is a workbook, which needs python-calamine. Install chattts-onnx[sheets], or "
            "save the sheet as CSV."
        )
    answer = _read(path, sheet or "")
    names = answer.get("names", [])
    if "error" in answer:
        raise VoiceError(f"{path} cannot be read as a workbook: {brief_text(answer['error'])}")
    if "large" in answer:
        raise VoiceError(
            f"{path} spans more than {_MAX_CELLS} cells, far more than a voice; delete what is "
            "around the numbers, or save the sheet as CSV."
        )
    if sheet is not None and sheet not in names:
        raise VoiceError(
            f"{path} has the sheets {brief_text(', '.join(names))}; name one of them as "
            f"{path}#SHEET (found {sheet!r})."
        )
    if "rows" not in answer:
        raise VoiceError(f"{path} is empty; expected {hidden_size} numbers in a row or column.")
    return parse_cells(answer["rows"], hidden_size)


def _read(path: Path, sheet: str) -> dict[str, Any]:
    """What :data:`_READER` answers."""
    limits = map(str, (_MAX_MEMORY, _MAX_SECONDS, _MAX_CELLS))
    command = [sys.executable, "-P", "-c", _READER, str(path.absolute()), sheet, *limits]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=2 * _MAX_SECONDS, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return {"error": f"it takes more than {_MAX_SECONDS} s or {_MAX_MEMORY >> 20} MiB"}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
