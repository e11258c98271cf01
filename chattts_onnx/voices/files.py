"""Voice files as people share them: numbers in JSON, CSV and spreadsheets' export, or text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from ..atomic_files import write_file
from ..errors import VoiceError
from ..untrusted import brief, brief_text, parse_json, read_limited

# A voice of 768 numbers takes some 20 kB, a collection of a thousand 20 MB.
_MAX_BYTES = 64 << 20
_NPY_KINDS = "iuf"
_MAX_NPY_HEADER = 1000
TENSOR_KEYS = ("tensor", "emb", "embedding", "spk_emb", "vector")
_DECIMAL_COMMA = re.compile(r"^[-+]?\d+,\d+(?:[eE][-+]?\d+)?$")


def read_text(path: Path) -> str:
    """A voice file's text: UTF-8 with or without BOM, or UTF-16 with one (Excel's "Unicode")."""
    data = read_limited(path, _MAX_BYTES)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a ``.npy`` file of numbers; ``ValueError`` on anything else.

    :func:`numpy.load` would make room for whatever shape a file claims, and read a zip as well.
    """
    data = read_limited(path, _MAX_BYTES)
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, columns_first, dtype = read_header(stream, max_header_size=_MAX_NPY_HEADER)
    # What NumPy raises depends on how it fails to parse the header as Python.
    except Exception as error:
        raise ValueError(f"its header is damaged ({type(error).__name__})") from error
    values = data[stream.tell() :]
    sizes = [int(size) for size in shape]
    if dtype.kind not in _NPY_KINDS or min(sizes, default=0) < 0:
        raise ValueError(f"it holds {brief(str(dtype))} of shape {brief(sizes)}, no row of numbers")
    if math.prod(sizes) * dtype.itemsize != len(values):
        raise ValueError(f"{len(values)} bytes follow a header of shape {brief(sizes)}")
    order: Literal["F", "C"] = "F" if columns_first else "C"
    return np.frombuffer(values, dtype).reshape(sizes, order=order)


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
                f"{source} holds the voices {_listed(voices)}; name one of them as "
                f"{source}#NAME (found {brief(name)})."
            )
        value = voices[name]
    if isinstance(value, dict):
        for key in TENSOR_KEYS:
            if key in value:
                return value[key]
        raise VoiceError(f"{source}: no numbers; expected one of the keys {TENSOR_KEYS}.")
    return value


def _listed(voices: Iterable[str]) -> str:
    return brief_text(", ".join(map(str, voices)))


def voice_names(path: Path) -> list[str]:
    """Names in a JSON collection; empty where the file holds one unnamed voice."""
    if path.suffix.lower() != ".json":
        return []
    try:
        value = parse_json(read_text(path))
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
