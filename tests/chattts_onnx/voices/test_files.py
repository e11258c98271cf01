"""CSV and JSON as spreadsheets and people write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from chattts_onnx import Bundle, VoiceError
from chattts_onnx.voices import vectors as voices
from chattts_onnx.voices.files import voice_names
from tests.official import VOICES

SIZE = 768
VECTOR = voices.random_speaker(5, SIZE)
NUMBERS = [f"{v:.6f}" for v in VECTOR.tolist()]
EXPECTED = np.array([float(n) for n in NUMBERS], dtype=np.float32)


COMMAS = [n.replace(".", ",") for n in NUMBERS]
ROW, COLUMN = ",".join(NUMBERS), "\n".join(NUMBERS)
PLACES = ",".join(map(str, range(SIZE)))
COUNTED = "\n".join(f"{i},{n}" for i, n in enumerate(NUMBERS))
TABLE = [NUMBERS[i : i + 32] for i in range(0, SIZE, 32)]

SPREADSHEETS = {
    "one a line": COLUMN,
    "one a line, CRLF and BOM": "\ufeff" + "\r\n".join([*NUMBERS, ""]),
    "old Mac line ends": "\r".join(NUMBERS),
    "a row": ROW,
    "a row with spaces": ", ".join(NUMBERS),
    "a row of semicolons": ";".join(NUMBERS),
    "tabs": "\t".join(NUMBERS),
    "quoted": "\n".join(f'"{n}"' for n in NUMBERS),
    "semicolons and decimal commas": ";".join(COMMAS),
    "decimal commas, one a line": "\n".join(COMMAS),
    "quoted decimal commas": ",".join(f'"{n}"' for n in COMMAS),
    "Excel's separator line": "sep=;\r\n" + ";".join(NUMBERS),
    "header": f"value\n{COLUMN}",
    "header row": ",".join(f"d{i}" for i in range(SIZE)) + f"\n{ROW}",
    "counting column": "\n".join(f"{i},{n}" for i, n in enumerate(NUMBERS, 1)),
    "counting column under a header": f"index,value\n{COUNTED}",
    "row with a name": f"anna,{ROW}",
    "brackets": "[" + ", ".join(NUMBERS) + "]",
    "UTF-16": "\t".join(NUMBERS),
    "trailing separators": "\n".join(f"{n};" for n in NUMBERS),
    "pandas: a column": f"0\n{COLUMN}",
    "pandas: a column with its index": f",0\n{COUNTED}",
    "pandas: a named column with its index": f",anna\n{COUNTED}",
    "pandas: a row": f"{PLACES}\n{ROW}",
    "pandas: a row with its index": f",{PLACES}\n0,{ROW}",
    "pandas: tabs": "\t0\n" + COUNTED.replace(",", "\t"),
    "pandas: semicolons and decimal commas": ";0\n"
    + "\n".join(f"{i};{n}" for i, n in enumerate(COMMAS)),
    "PyTorch prints": f"tensor([{', '.join(NUMBERS[:9])},\n        {', '.join(NUMBERS[9:])}], "
    "dtype=torch.float16, device='cuda:0')",
    "NumPy prints": f"array([[{', '.join(NUMBERS)}]], dtype=float32)",
    "a table with an index": "\n".join(",".join([str(i), *row]) for i, row in enumerate(TABLE)),
    "empty lines": "\n\n".join([*NUMBERS, ""]),
    "a table": "\n".join(map(",".join, TABLE)),
}


@pytest.mark.parametrize("form", SPREADSHEETS)
def test_spreadsheets_export(tmp_path: Path, form: str) -> None:
    source = tmp_path / "v.csv"
    source.write_bytes(SPREADSHEETS[form].encode("utf-16" if form == "UTF-16" else "utf-8"))
    np.testing.assert_array_equal(voices.load_speaker(source, SIZE), EXPECTED)


@pytest.mark.parametrize("content", ["", "a,b,c", "1;2;3", "sep=;", '"1', "1,2\n3,x"])
def test_damaged_csv_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "v.csv").write_text(content)
    with pytest.raises(VoiceError, match=r"v\.csv"):
        voices.load_speaker(tmp_path / "v.csv", SIZE)


def test_json_forms(tmp_path: Path) -> None:
    text = voices.encode_speaker(VECTOR)
    half = VECTOR.astype(np.float16).astype(np.float32)
    forms = [
        text,
        {"tensor": text},
        {"emb": VECTOR.tolist()},
        {"anna": text},
        {"anna": {"gender": "*", "tensor": VECTOR.tolist()}},
        {"voices": {"anna": {"tensor": text}}},
        {"tensor": json.dumps(VECTOR.tolist())},
        VECTOR.tolist(),
        [VECTOR.tolist()],
        [[v] for v in VECTOR.tolist()],
    ]
    for form in forms:
        (tmp_path / "v.json").write_text(json.dumps(form), "utf-8")
        loaded = voices.load_speaker(tmp_path / "v.json", SIZE)
        np.testing.assert_allclose(loaded, half, rtol=1e-3, atol=1e-6)
    (tmp_path / "many.json").write_text(json.dumps({"a": text, "b": text}), "utf-8")
    assert voice_names(tmp_path / "many.json") == ["a", "b"]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".npy", ".txt"])
def test_round_trip_of_every_form(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"v{suffix}"
    written = voices.save_speaker(target, VECTOR, SIZE, name="anna", seed=5)
    np.testing.assert_array_equal(voices.load_speaker(target, SIZE), written)
    exact = suffix in (".csv", ".npy")
    np.testing.assert_allclose(
        written, VECTOR, rtol=0 if exact else 1e-3, atol=0 if exact else 1e-6
    )
    # A second trip changes nothing more.
    again = voices.save_speaker(tmp_path / f"w{suffix}", written, SIZE)
    np.testing.assert_array_equal(again, written)
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_a_pickle_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "v.pt").write_bytes(b"PK")
    with pytest.raises(VoiceError, match=r"PyTorch pickle.*torch.load"):
        voices.load_speaker(tmp_path / "v.pt", SIZE)


def test_named_voices_of_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    from chattts_onnx.voices.collection import VoiceShelf

    shelf = VoiceShelf(tmp_path / "voices", bundle.model.hidden_size)
    target = shelf.save("小红", 7)
    assert shelf.names == {"小红": target}
    record = json.loads(target.read_text("utf-8"))
    assert record["name"] == "小红" and record["seed"] == 7
    np.testing.assert_allclose(shelf.vector("小红"), bundle.speaker(7), rtol=1e-3, atol=1e-5)
    text = record["tensor"]
    if voices.is_text_form(text):
        np.testing.assert_array_equal(shelf.vector(text), shelf.vector("小红"))
    for name in ("小红", "a/b", "../x", "", "7", "a.b", "statistics"):
        with pytest.raises(VoiceError, match="already" if name == "小红" else "no name"):
            shelf.save(name, 7)


def test_text_form_as_a_voice() -> None:
    from chattts_onnx.voices.collection import VoiceShelf

    shelf = VoiceShelf(Path("none"), SIZE)
    text = voices.encode_speaker(VECTOR)
    np.testing.assert_array_equal(shelf.vector(text), voices.decode_speaker(text, SIZE))
    assert shelf.names == {}


def test_each_text_of_a_batch_has_its_voice(bundle: Bundle) -> None:
    texts = ["hello world", "hello world", "hello world"]
    together = bundle.generate(texts, voices=[1, "anna", None], seed=4)
    for position, voice in enumerate((1, "anna", None)):
        alone = bundle.generate(texts[position], voice, seed=4 + position)
        np.testing.assert_array_equal(together[position].codes, alone.codes)
    assert (together[0].codes.shape != together[1].codes.shape) or (
        together[0].codes != together[1].codes
    ).any()
    from chattts_onnx import InputError

    with pytest.raises(InputError, match="2 voices for 3 texts"):
        bundle.generate(texts, voices=[1, 2])


@pytest.mark.skipif(not VOICES.is_dir(), reason="no shared voices here")
def test_shared_voices_survive_every_form(tmp_path: Path) -> None:
    assert len(voice_names(VOICES / "slct_voice_240605.json")) == 22
    for source in sorted(VOICES.iterdir()):
        for name in voice_names(source) or [None]:
            vector = voices.load_speaker(source, SIZE, name)
            for suffix in (".json", ".csv", ".npy", ".txt"):
                written = voices.save_speaker(tmp_path / f"v{suffix}", vector, SIZE)
                np.testing.assert_allclose(written, vector, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("text", ["[" * 100_000, "[1e400]", f"[{10**400}]", "9" * 5000])
def test_json_that_python_chokes_on_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(VoiceError, match=r"v\.json"):
        voices.load_speaker(tmp_path / "v.json", 1)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "data",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-8,), }", bytes(32)),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (8,), }", b"cos\nsystem\n" * 9),
        npy("{'descr': '<U9', 'fortran_order': False, 'shape': (8,), }", bytes(288)),
        npy("((((((((", bytes(32)),
        npy("{'descr': '<f4'}", bytes(32)),
        b"PK\3\4" + bytes(99),
        b"\x93NUMPY\xff\xff",
        b"",
    ],
)
def test_npy_is_numbers_of_the_length_it_says_or_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "v.npy").write_bytes(data)
    with pytest.raises(VoiceError, match=r"v\.npy cannot be read"):
        voices.load_speaker(tmp_path / "v.npy", 8)


@pytest.mark.parametrize("dtype", ["<f2", ">f8", "<i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_numbers(tmp_path: Path, dtype: str, order: Literal["C", "F"]) -> None:
    values = np.arange(1, 9).reshape(1, 8)
    np.save(tmp_path / "v.npy", values.astype(dtype, order=order))
    np.testing.assert_array_equal(voices.load_speaker(tmp_path / "v.npy", 8), values[0])
