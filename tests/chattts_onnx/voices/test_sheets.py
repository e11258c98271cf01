"""Workbooks as spreadsheets save them; the files are written here by hand, from their formats."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, VoiceError, cli
from chattts_onnx.voices import vectors as voices

pytest.importorskip("python_calamine")

SIZE = 768
VECTOR = voices.random_speaker(5, SIZE)
NUMBERS = [round(v, 6) for v in VECTOR.tolist()]
EXPECTED = np.array(NUMBERS, dtype=np.float32)
Row = Sequence[float | str | None]

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def write_xlsx(path: Path, sheets: dict[str, Sequence[Row]], deflated: bytes = b"") -> None:
    """A minimal workbook (ECMA-376) with strings in line."""
    names = list(sheets)
    book = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(names, 1))
    links = "".join(
        f'<Relationship Id="r{i}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r0" '
        f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{book}'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}'
        "</Relationships>",
    }
    for index, name in enumerate(names, 1):
        rows = "".join(_row(number, row) for number, row in enumerate(sheets[name], 1))
        parts[f"xl/worksheets/sheet{index}.xml"] = (
            f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            archive.writestr(part, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
        if deflated:
            archive.writestr("xl/media/image1.bin", deflated)


def _row(number: int, row: Row) -> str:
    cells = ""
    for index, value in enumerate(row):
        place = f'r="{_column(index)}{number}"'
        if isinstance(value, str):
            cells += f'<c {place} t="inlineStr"><is><t>{value}</t></is></c>'
        elif value is not None:
            cells += f"<c {place}><v>{value!r}</v></c>"
    return f'<row r="{number}">{cells}</row>'


def _column(index: int) -> str:
    name = ""
    while index >= 0:
        name, index = chr(65 + index % 26) + name, index // 26 - 1
    return name


def write_ods(path: Path, rows: Sequence[Row]) -> None:
    """A minimal OpenDocument spreadsheet."""
    urn = "urn:oasis:names:tc:opendocument:xmlns"
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="float" office:value="{v!r}"/>' for v in row
        )
        + "</table:table-row>"
        for row in rows
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{urn}:manifest:1.0"/>',
        )
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{urn}:office:1.0" '
            f'xmlns:table="{urn}:table:1.0"><office:body><office:spreadsheet>'
            f'<table:table table:name="Sheet1">{cells}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )


FORMS: dict[str, Sequence[Row]] = {
    "one a line": [[n] for n in NUMBERS],
    "a row": [NUMBERS],
    "a table": [NUMBERS[i : i + 32] for i in range(0, SIZE, 32)],
    "header": [["value"], *([n] for n in NUMBERS)],
    "header row": [[f"d{i}" for i in range(SIZE)], NUMBERS],
    "counting column under a header": [["i", "v"], *([i, n] for i, n in enumerate(NUMBERS))],
    "row with a name": [["anna", *NUMBERS]],
    "numbers stored as text": [[str(n)] for n in NUMBERS],
    "decimal commas stored as text": [[str(n).replace(".", ",")] for n in NUMBERS],
    "further down and to the right": [[], [None, None], *([None, n] for n in NUMBERS)],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_sheet_s_numbers(tmp_path: Path, form: str) -> None:
    write_xlsx(tmp_path / "v.xlsx", {"Sheet1": FORMS[form]})
    np.testing.assert_array_equal(voices.load_speaker(tmp_path / "v.xlsx", SIZE), EXPECTED)


def test_ods(tmp_path: Path) -> None:
    write_ods(tmp_path / "v.ods", FORMS["one a line"])
    np.testing.assert_array_equal(voices.load_speaker(tmp_path / "v.ods", SIZE), EXPECTED)


def test_sheets_by_name(tmp_path: Path) -> None:
    book = tmp_path / "v.xlsx"
    other = [[n + 1.0] for n in NUMBERS]
    write_xlsx(book, {"Notes": [], "anna": FORMS["one a line"], "bert": other})
    np.testing.assert_array_equal(voices.load_speaker(book, SIZE), EXPECTED)
    assert voices.load_speaker(book, SIZE, "bert")[0] == np.float32(NUMBERS[0] + 1.0)
    with pytest.raises(VoiceError, match=r"the sheets Notes, anna, bert; .*found 'carl'"):
        voices.load_speaker(book, SIZE, "carl")


def test_damage_is_named(tmp_path: Path) -> None:
    book = tmp_path / "v.xlsx"
    cases: dict[str, tuple[Sequence[Row], str]] = {
        "empty": ([], "is empty"),
        "short": ([[1.0, 2.0]], "768 numbers"),
        "words": ([["a", 1.0], ["b", "c"]], "no numbers"),
    }
    for rows, message in cases.values():
        write_xlsx(book, {"Sheet1": rows})
        with pytest.raises(VoiceError, match=message):
            voices.load_speaker(book, SIZE)
    for data in (b"", b"no workbook", book.read_bytes()[:300]):
        book.write_bytes(data)
        with pytest.raises(VoiceError, match="cannot be read as a workbook"):
            voices.load_speaker(book, SIZE)


def test_what_is_not_read_is_not_unpacked(tmp_path: Path) -> None:
    book = tmp_path / "v.xlsx"
    write_xlsx(book, {"Sheet1": FORMS["a row"]}, deflated=b"\0" * (33 << 20))
    assert book.stat().st_size < 1 << 20
    np.testing.assert_array_equal(voices.load_speaker(book, SIZE), EXPECTED)


def _far_out(place: str) -> str:
    return f'<row r="1"><c r="A1"><v>1</v></c></row><row r="9"><c r="{place}"><v>2</v></c></row>'


def _repeated(columns: int, rows: int) -> str:
    return (
        f'<table:table-row table:number-rows-repeated="{rows}"><table:table-cell '
        f'office:value-type="float" office:value="1.5" '
        f'table:number-columns-repeated="{columns}"/></table:table-row>'
    )


SHEETS = {
    "the last cell": ("xlsx", _far_out("XFD1048576")),
    "a far column": ("xlsx", _far_out("XFD20000")),
    "a far row": ("xlsx", _far_out("A200000")),
    "beyond the last": ("xlsx", _far_out("ZZZZZZ999999999")),
    "repeated columns": ("ods", _repeated(16384, 1000)),
    "repeated rows": ("ods", _repeated(1, 200_000)),
    "both": ("ods", _repeated(16384, 1_048_576)),
    "beyond any": ("ods", _repeated(2**32 - 1, 2**32 - 1)),
    "below nothing": ("ods", _repeated(-1, 2**64)),
    "a long cell": ("xlsx", f'<row r="1"><c r="A1"><v>{"0" * (16 << 20)}</v></c></row>'),
}


# In a process whose only child is the reader: that of the tests has had others, greater ones.
MEASURED = """
import json, resource, sys
from pathlib import Path
from chattts_onnx import VoiceError
from chattts_onnx.voices import vectors
try:
    vectors.load_speaker(Path(sys.argv[1]), int(sys.argv[2]))
except VoiceError as error:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_maxrss > 0
    print(json.dumps([str(error), used.ru_maxrss, used.ru_utime]))
else:
    sys.exit("it was read")
"""


@pytest.mark.parametrize("case", SHEETS)
def test_a_sheet_of_any_extent_is_bounded(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, rows = SHEETS[case]
    path = tmp_path / f"v.{suffix}"
    if suffix == "xlsx":
        monkeypatch.setattr(f"{__name__}._row", lambda number, row: rows)
        write_xlsx(path, {"Sheet1": [[]]})
    else:
        write_ods(path, [[1.0]])
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        start, end = b"<table:table-row>", b"</table:table-row>"
        content = parts["content.xml"]
        content = content[: content.index(start)] + rows.encode() + content.split(end, 1)[1]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**parts, "content.xml": content}.items():
                archive.writestr(name, data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(SIZE)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    error, memory, seconds = json.loads(done.stdout)
    assert re.search(r"far more|takes more|cannot be read|768", error)
    assert memory <= (1 << 20) + (64 << 10)  # kB
    assert seconds < 25


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.xlsx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(VoiceError, match=r"Install chattts-onnx\[sheets\]"):
        voices.load_speaker(tmp_path / "v.xlsx", SIZE)


def test_convert_command(bundle: Bundle, bundle_path: Path, tmp_path: Path) -> None:
    size = bundle.model.hidden_size
    write_xlsx(tmp_path / "v.xlsx", {"a": [["x"]], "b": [NUMBERS[:size]]})
    target = tmp_path / "v.json"
    arguments = ["voices", "convert", f"{tmp_path / 'v.xlsx'}#b", str(target)]
    assert cli.main([*arguments, "-b", str(bundle_path)]) == 0
    half = EXPECTED[:size].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(voices.load_speaker(target, size), half)
