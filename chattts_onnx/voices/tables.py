"""Numbers of a table, as spreadsheets, pandas and people write one voice."""

from __future__ import annotations

import csv
import io
import math
import re

_DECIMAL_COMMA = re.compile(r"^[-+]?\d+,\d+(?:[eE][-+]?\d+)?$")
# What Python prints around the numbers of an array.
_PRINTED = re.compile(
    r"(?:tensor|array|torch\.Tensor|np\.array)\(|,\s*(?:dtype|device)=[^)]*|[\[\]()]"
)
# A list of numbers, or the beginning of the text form.
_WHOLE = re.compile(r"\s*\[+\s*[-+.\d][^\]]*,|\s*[\u4e00-\u8dff]{8}")
Rows = list[list[float | None]]


def parse_csv(text: str, hidden_size: int) -> list[float]:
    """Numbers of a CSV: one a line, one row, or a table, with a header or without.

    Separators may be commas, semicolons (then decimal commas are read), tabs or spaces; values may
    be quoted.  A row or column of names or counting numbers beside the values is left out, as
    pandas writes its columns and index.  What Python prints of an array is read as well.
    """
    if _PRINTED.match(text.lstrip()):
        text = _PRINTED.sub(" ", text).replace(",", " ")
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line]
    # The line that tells Excel its separator is no data.
    lines = [line for line in lines if not line.lower().startswith("sep=")]
    separator = _separator(lines)
    if separator is None:
        rows = [line.split() for line in lines]
    else:
        rows = _rows("\n".join(lines), separator)
    return parse_cells(rows, hidden_size)


def whole_voices(text: str) -> dict[str, str]:
    """Voices of a table that has one in a cell of each row (a list or the text form), by the row's
    first other cell; {} where it is none."""
    found: dict[str, str] = {}
    first = text.partition("\n")[0]
    separator = next((mark for mark in "\t;" if mark in first), ",")
    for number, row in enumerate(_rows(text, separator)):
        voice = next((cell for cell in row if _WHOLE.match(cell)), None)
        if voice is not None:
            name = next((cell for cell in row if cell.strip() and cell is not voice), str(number))
            found.setdefault(name.strip(), voice)
    return found


def _rows(text: str, separator: str) -> list[list[str]]:
    """Cells of a CSV; ``ValueError`` where it is none."""
    try:
        return list(csv.reader(io.StringIO(text, newline=None), delimiter=separator))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def parse_cells(rows: list[list[str]], hidden_size: int) -> list[float]:
    """Numbers of a table's cells, empty ones left out; ``ValueError`` on others."""
    cells = [[_number(cell) for cell in row] for row in rows]
    cells = [row for row in cells if any(value is not None for value in row)]
    # The first reading that has as many numbers as a voice: all, without what is beside them.
    for without_column in (False, True):
        table, first = _without_column(cells) if without_column else (cells, [])
        for without_row in (False, True):
            rest = table[without_row:]
            beside = _numbers(table[:1]) if without_row else []
            # Above the column of labels stands a name or nothing.
            labels = first[1:] if without_row and len(first) == len(table) else first
            found = _numbers(rest)
            fits = len(found) == hidden_size and not any(map(math.isnan, found))
            if fits and _counts(beside) and (_counts(first) or _counts(labels)):
                return found
    found = _numbers(cells[1:] if cells and _named(cells[0]) else cells)
    if wrong := sum(map(math.isnan, found)):
        raise ValueError(f"{wrong} of {len(found)} cells are no numbers")
    return found


def _without_column(cells: Rows) -> tuple[Rows, list[float]]:
    return [row[1:] for row in cells], _numbers([row[:1] for row in cells])


def _numbers(cells: Rows) -> list[float]:
    return [value for row in cells for value in row if value is not None]


def _named(row: list[float | None]) -> bool:
    return all(value is None or math.isnan(value) for value in row)


def _counts(values: list[float]) -> bool:
    """Names, or 0, 1, 2, ... as spreadsheets and pandas number rows and columns; or nothing."""
    if all(math.isnan(value) for value in values):
        return True
    return values in (list(range(len(values))), list(range(1, len(values) + 1)))


def _separator(lines: list[str]) -> str | None:
    for separator in (";", "\t"):
        if any(separator in line for line in lines):
            return separator
    unquoted = [line.replace('"', "") for line in lines]
    if all(_DECIMAL_COMMA.match(line.strip()) for line in unquoted) and len(lines) > 1:
        return ";"  # one number a line, with decimal commas
    return "," if any("," in line for line in lines) else None


def _number(cell: str) -> float | None:
    """A cell's number, NaN where it is another word, None where it is empty."""
    if not cell.strip():
        return None
    text = cell.strip().strip("\"'").strip("[]").strip().replace("\u2212", "-")
    if _DECIMAL_COMMA.match(text):
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return math.nan
