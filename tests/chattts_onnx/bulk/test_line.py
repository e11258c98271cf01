from __future__ import annotations

import math
from typing import Any

import pytest

from chattts_onnx.bulk.errors import LineError
from chattts_onnx.bulk.line import Defaults, file_stem, line_seed, parse_line

DEFAULTS = Defaults(voice="7", seed=3, options={"speed": 2})


def test_absent_columns_take_defaults() -> None:
    line = parse_line(4, {"text": "hello", "voice": "", "speed": None, "seed": math.nan}, DEFAULTS)
    assert (line.id, line.voice) == ("4", "7")
    assert line.options == {"speed": 2, "seed": line_seed(3, "4")}


@pytest.mark.parametrize("seed", [11, "11", 11.0, "11.0", " 11 "])
def test_numbers_come_as_csv_and_data_frames_have_them(seed: Any) -> None:
    line = parse_line(0, {"text": "x", "seed": seed, "speed": seed and "9", "voice": 3.0}, DEFAULTS)
    assert (line.options, line.voice) == ({"seed": 11, "speed": 9}, "3")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "found nothing in the column text"),
        ({"text": "  \n"}, "found nothing in the column text"),
        ({"text": 12}, "found 12 in the column text"),
        ({"text": "\udcff"}, "not Unicode"),
        ({"text": "x", "speed": 10}, "speed is 10; expected a whole number of 0 to 9"),
        ({"text": "x", "speed": True}, "speed is True"),
        ({"text": "x", "seed": -1}, "seed is -1"),
        ({"text": "x", "seed": 1.5}, "seed is 1.5"),
        ({"text": "x", "seed": 1 << 63}, "seed is"),
        ({"text": "x", "id": ["a"]}, "id is"),
        ({"text": "x", "id": "a" * 2000}, "id has 2000"),
        ({"text": "x", "voice": [1.0]}, "voice is"),
    ],
)
def test_bad_columns_are_named(fields: dict[str, Any], found: str) -> None:
    with pytest.raises(LineError, match=found):
        parse_line(0, fields, DEFAULTS)


def test_a_seed_depends_on_the_id_not_on_the_place() -> None:
    def seed(number: int, name: str, defaults: Defaults = DEFAULTS) -> int | None:
        return parse_line(number, {"text": "x", "id": name}, defaults).options["seed"]

    assert seed(0, "a") == seed(9, "a") != seed(0, "b")
    assert seed(0, "a") != seed(0, "a", Defaults(seed=4))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("anna_001", "000000012_anna_001"),
        ("欢迎 1", "000000012_欢迎_1"),
        ("a/../b.v2", "000000012_a_b_v2"),
        ("12", "000000012"),
        ("...", "000000012"),
        ("语" * 40, "000000012_" + "语" * 19),
    ],
)
def test_files_are_named_by_place_and_id(name: str, stem: str) -> None:
    assert file_stem("000000012", name) == stem
    assert len(f"{stem}.jsonl".encode()) < 100
