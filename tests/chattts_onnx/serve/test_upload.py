from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx.errors import InputError, TooLargeError
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.upload import UploadLine, receive

DEFAULTS = SpeechRequest("", voice="7", seed=3)


def read_bytes(
    data: bytes, name: str, most: int = 9, longest: int = 9, encoding: str | None = None
) -> list[UploadLine]:
    with tempfile.TemporaryDirectory() as folder:
        return list(
            receive(
                io.BytesIO(data), name, Path(folder), DEFAULTS,
                most=most, longest=longest, encoding=encoding,
            ).lines()
        )  # fmt: skip


def read(data: str, name: str, most: int = 100, longest: int = 1000) -> list[UploadLine]:
    return read_bytes(data.encode(), name, most, longest)


def test_plain_lines() -> None:
    lines = read("\ufeffone\n\n two \n", "a.txt")
    assert [(x.number, x.id, x.text) for x in lines] == [(0, "1", "one"), (1, "2", " two ")]
    assert lines[0].request.voice == "7" and lines[0].request.options == {"seed": 3}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('text,id,voice,speed\n"one, two",a,anna,\nthree,,,5\n', "a.csv"),
        ("text\tid\tvoice\tspeed\none, two\ta\tanna\t\nthree\t\t\t5\n", "A.TSV"),
        (
            '{"text": "one, two", "id": "a", "voice": "anna"}\n\n{"text": "three", "speed": 5}\n',
            "a.jsonl",
        ),
    ],
)
def test_tables_and_json_lines_give_fields(data: str, name: str) -> None:
    first, second = read(data, name)
    assert (first.id, first.request) == ("a", SpeechRequest("one, two", voice="anna", seed=3))
    assert (second.id, second.request) == ("2", SpeechRequest("three", voice="7", seed=3, speed=5))


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        ("", "a.txt", "no lines"),
        ("id\n1\n", "a.csv", "expected 'text'"),
        ("text\na,b\n", "a.csv", "line 2: the row has 2 fields"),
        ('text\n"a\n', "a.csv", "unexpected end of data"),
        ("text,speed\na,fast\n", "a.csv", "line 2: speed is .fast.; expected a whole"),
        ("text,color\na,red\n", "a.csv", "line 2: unknown field 'color'"),
        ("text\n\n \n", "a.csv", "line 3: .*column text"),
        ('{"text": "a"}\n{"text": 1}\n', "a.jsonl", "line 2: found 1 in the column text"),
        ('{"text": "a", "seed": 1.5}\n', "a.jsonl", "line 1: seed is 1.5"),
        ('{"text": "a", "seed": true}\n', "a.jsonl", "line 1: seed is"),
        ("[1]\n", "a.jsonl", "line 1: .*expected an object"),
        ('{"text"\n', "a.jsonl", "line 1: the line is no JSON"),
        ("[" * 100_000 + "\n", "a.jsonl", "line 1: the line is no JSON"),
        ("9" * 5000 + "\n", "a.jsonl", "line 1: the line is no JSON"),
        (f'{{"text": "a", "top_p": {10**400}}}\n', "a.jsonl", "line 1: top_p is"),
        ('{"text": "a", "seed": Infinity}\n', "a.jsonl", "line 1: seed is"),
    ],
)
def test_mistakes_name_their_line(data: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data, name)


def test_limits() -> None:
    with pytest.raises(TooLargeError, match="more than 2 lines"):
        read("a\nb\nc\n", "a.txt", most=2)
    with pytest.raises(TooLargeError, match="line 2: the text has 5"):
        read("a\nbbbbb\n", "a.txt", longest=4)
    with pytest.raises(InputError, match="not UTF-8"):
        read_bytes(b"\xff\xfa", "a.txt")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str) -> None:
    lines = read_bytes("你好\nworld\n".encode(encoding), "a.txt")
    assert [line.text for line in lines] == ["你好", "world"]


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "shift_jis", "utf-16-le"])
def test_other_encodings_are_named(encoding: str) -> None:
    data = "text\n世界\n".encode(encoding)
    assert read_bytes(data, "a.csv", encoding=encoding)[0].text == "世界"
    with pytest.raises(InputError, match=r"the file .*(not UTF-8|NUL).*name its encoding"):
        read_bytes(data, "a.csv")


def test_half_a_character_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match=r"line 2: the text is not Unicode"):
        read('{"text": "a"}\n{"text": "\\ud800"}\n', "a.jsonl")


@given(st.integers(1, 99_999), st.text())
def test_file_names_are_safe(number: int, id: str) -> None:
    name = UploadLine(number - 1, id, "", None, {}).file_name("wav")
    assert name.startswith(f"{number:05d}") and name.endswith(".wav") and len(name) < 80
    assert not set(name) & set("/\\:\0\n") and ".." not in name


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text()), max_size=4))
def test_any_json_is_read_or_refused_by_name(rows: list[dict[str, object]]) -> None:
    data = "\n".join(json.dumps(row) for row in rows)
    with contextlib.suppress(InputError):
        assert all(line.text for line in read(data, "x.jsonl"))
