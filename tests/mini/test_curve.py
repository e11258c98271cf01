from __future__ import annotations

from mini.curve import points

LINES = [
    {"name": "gpt", "hours": 0.5, "heldout_code_zh": 4.0},
    {"name": "gpt", "code": 3.9},
    {"name": "speech", "gpt_hours": 0.5, "mei": {"word_error_rate": 90.0}},
    {"name": "speech", "gpt_hours": 1.0, "ava": {"word_error_rate": 80.0}},
]


def test_a_curve_has_the_lines_that_tell_its_value() -> None:
    assert points(LINES, "gpt", ("heldout_code_zh",)) == ([0.5], [4.0])
    assert points(LINES, "speech", ("mei", "word_error_rate")) == ([0.5], [90.0])
