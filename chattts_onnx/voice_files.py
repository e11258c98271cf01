"""Voice files as people share them: numbers in JSON, CSV and spreadsheets' export, or text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from .atomic_files import write_file
from .errors import VoiceError

TENSOR_KEYS = ("tensor", "emb", "embedding", "spk_emb", "vector")
_DECIMAL_COMMA = re.compile(r"^[-+]?\d+,\d+(?:[eE][-+]?\d+)?$")


def read_text(path: Path) -> str:
    """A voice file's text: UTF-8 with or without BOM, or UTF-16 with one (Excel's "Unicode")."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def parse_csv(text: str, hidden_size: int) -> list[float]:
    """Numbers of a CSV: one a line, one row, or a table, with a header or without.

    Separators may be commas, semicolons (then decimal commas are read), tabs or spaces; values may
    be quoted.  A column or row of names or counting numbers beside the values is left out.
    """
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line]
    # The line that tells Excel its separator is no data.
    lines = [line for line in lines if not line.lower().startswith("sep=")]
    separator = _separator(lines)
    if separator is None:
        rows = [line.split() for line in lines]
    else:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator))
    return parse_cells(rows, hidden_size)


def parse_cells(rows: list[list[str]], hidden_size: int) -> list[float]:
    """Numbers of a table's cells, empty ones left out; ``ValueError`` on others."""
    cells = [[_number(cell) for cell in row if cell.strip()] for row in rows]
    cells = [row for row in cells if row]
    if cells and all(math.isnan(value) for value in cells[0]):
        cells = cells[1:]  # a header
    return _values(cells, hidden_size)


def _separator(lines: list[str]) -> str | None:
    for separator in (";", "\t"):
        if any(separator in line for line in lines):
            return separator
    unquoted = [line.replace('"', "") for line in lines]
    if all(_DECIMAL_COMMA.match(line.strip()) for line in unquoted) and len(lines) > 1:
        return ";"  # one number a line, with decimal commas
    return "," if any("," in line for line in lines) else None


def _number(cell: str) -> float:
    text = cell.strip().strip("\"'").strip("[]").replace("\u2212", "-")
    if _DECIMAL_COMMA.match(text):
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return math.nan


def _values(cells: list[list[float]], hidden_size: int) -> list[float]:
    """The numbers in reading order, without a header row or column of counting numbers."""
    flat = [value for row in cells for value in row]
    if len(flat) > hidden_size:
        if len(cells) == 2 and len(cells[0]) == len(cells[1]) and _counts(cells[0]):
            flat = cells[1]
        elif all(len(row) == 2 for row in cells) and _counts([row[0] for row in cells]):
            flat = [row[1] for row in cells]
        elif len(cells) == 1 and math.isnan(flat[0]):
            flat = flat[1:]  # a row with its name
    if wrong := sum(math.isnan(value) for value in flat):
        raise ValueError(f"{wrong} of {len(flat)} cells are no numbers")
    return flat


def _counts(values: list[float]) -> bool:
    """Names, or 0, 1, 2, ... as spreadsheets number rows and columns."""
    if all(math.isnan(value) for value in values):
        return True
    return values in (list(range(len(values))), list(range(1, len(values) + 1)))


def pick(value: Any, name: str | None, source: Path | str) -> Any:
    """The numbers (or text form) of one voice of parsed JSON."""
    if isinstance(value, dict) and not set(value) & set(TENSOR_KEYS):
        voices = value.get("voices", value) if isinstance(value.get("voices"), dict) else value
        if name is None and len(voices) == 1:
            name = next(iter(voices))
        if name is None or name not in voices:
            raise VoiceError(
                f"{source} holds the voices {', '.join(map(str, voices))}; name one of them as "
                f"{source}#NAME (found {name!r})."
            )
        value = voices[name]
    if isinstance(value, dict):
        for key in TENSOR_KEYS:
            if key in value:
                return value[key]
        raise VoiceError(f"{source}: no numbers; expected one of the keys {TENSOR_KEYS}.")
    return value


def voice_names(path: Path) -> list[str]:
    """Names in a JSON collection; empty where the file holds one unnamed voice."""
    if path.suffix.lower() != ".json":
        return []
    try:
        value = json.loads(read_text(path))
    except (ValueError, OSError):
        return []
    if not isinstance(value, dict) or set(value) & {*TENSOR_KEYS, "codes"}:
        return []
    voices = value.get("voices", value)
    return list(map(str, voices)) if isinstance(voices, dict) else []


def write_voice(path: Path, vector: Any, text: str, details: dict[str, Any]) -> None:
    """Write a voice in one rename; the suffix tells the form.

    ``.json`` {"tensor": text form, **details}, ``.csv`` one number a line, ``.npy``, else the text
    form alone.  JSON and text hold FP16, the others FP32.
    """
    values = np.asarray(vector, dtype=np.float32)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, values)
        data = stream.getvalue()
    elif suffix == ".csv":
        data = "".join(f"{value}\n" for value in values.tolist()).encode()
    elif suffix == ".json":
        record = {**details, "tensor": text}
        data = (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()
    else:
        data = f"{text}\n".encode()
    write_bytes(path, data)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one rename; :class:`VoiceError` where that is not possible."""
    try:
        write_file(path, data)
    except OSError as error:
        raise VoiceError(f"{path} cannot be written: {error.strerror or error}.") from error
