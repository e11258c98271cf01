"""Voices in spreadsheet files: .xlsx and .xls of Excel, .ods of LibreOffice."""

from __future__ import annotations

from pathlib import Path

from ..errors import VoiceError
from .files import parse_cells

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
# 768 numbers take some 20 kB; a small archive that unpacks to far more is no voice.
_MAX_BYTES = 32 << 20


def read_sheet(path: Path, hidden_size: int, sheet: str | None = None) -> list[float]:
    """Numbers of a workbook: of the sheet ``sheet``, else of the first that is not empty.

    They may stand as :func:`.parse_csv` takes them: in one column, one row or a table, with a
    header or without.  Needs python-calamine (``chattts-onnx[sheets]``).

    Raises :class:`VoiceError` where it is missing, the sheet is not there or the file is damaged,
    ``ValueError`` on cells that are no numbers.
    """
    try:
        import python_calamine
    except ImportError as error:
        raise VoiceError(
            f"{path} is a workbook, which needs python-calamine. Install chattts-onnx[sheets], or "
            "save the sheet as CSV."
        ) from error
    import zipfile

    try:
        _check_size(path)
        with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
            names = book.sheet_names
            if sheet is not None and sheet not in names:
                raise VoiceError(
                    f"{path} has the sheets {', '.join(names)}; name one of them as {path}#SHEET "
                    f"(found {sheet!r})."
                )
            for name in names if sheet is None else [sheet]:
                rows = book.get_sheet_by_name(name).to_python()
                if any(str(cell).strip() for row in rows for cell in row):
                    return parse_cells([[_text(cell) for cell in row] for row in rows], hidden_size)
    except (python_calamine.CalamineError, zipfile.BadZipFile) as error:
        raise VoiceError(f"{path} cannot be read as a workbook: {error}") from error
    raise VoiceError(f"{path} is empty; expected {hidden_size} numbers in a row or column.")


def _text(cell: object) -> str:
    # repr keeps all digits of a float; a date or a truth value is no number and stays a word.
    return repr(cell) if isinstance(cell, float) else str(cell)


def _check_size(path: Path) -> None:
    import zipfile

    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(entry.file_size for entry in archive.infolist()))
    if size > _MAX_BYTES:
        raise VoiceError(f"{path} unpacks to {size} bytes, far more than a voice; refused.")
