from __future__ import annotations

import math
from typing import Any

import pytest

from chattts_onnx.bulk.errors import LineError
from chattts_onnx.bulk.line import Defaults, line_seed, parse_line

DEFAULTS = Defaults(voice="7", seed=3, speed=2)


def test_absent_columns_take_defaults() -> None:
    line = parse_line(4, {"text": "hello", "voice": "", "speed": None, "seed": math.nan}, DEFAULTS)
    assert (line.id, line.voice, line.speed, line.seed) == ("4", "7", 2, line_seed(3, "4"))


@pytest.mark.parametrize("seed", [11, "11", 11.0, "11.0", " 11 "])
def test_numbers_come_as_csv_and_data_frames_have_them(seed: Any) -> None:
    line = parse_line(0, {"text": "x", "seed": seed, "speed": seed and "9", "voice": 3.0}, DEFAULTS)
    assert (line.seed, line.speed, line.voice) == (11, 9, "3")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "found nothing in the column text"),
        ({"text": "  \n"}, "found nothing in the column text"),
        ({"text": 12}, "found 12 in the column text"),
        ({"text": "\udcff"}, "not Unicode"),
        ({"text": "x", "speed": 10}, "speed is 10, expected 0 to 9"),
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
    first, second = ({"text": "x", "id": name} for name in ("a", "b"))
    assert parse_line(0, first, DEFAULTS).seed == parse_line(9, first, DEFAULTS).seed
    assert parse_line(0, first, DEFAULTS).seed != parse_line(0, second, DEFAULTS).seed
    assert parse_line(0, first, DEFAULTS).seed != parse_line(0, first, Defaults(seed=4)).seed
