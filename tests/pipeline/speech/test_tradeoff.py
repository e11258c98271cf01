from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.speech.figures import speech_rows
from pipeline.speech.tradeoff import collect, draw_tradeoff, render_tradeoff
from tests.pipeline.speech.spoken import judged, tone


def speed(variant: str, value: float, batch: int = 1) -> dict[str, Any]:
    row = {"variant": variant, "metric": "sentences_per_second", "value": value}
    return {**row, "unit": "sentences/s", "batch": batch}


SPEEDS = [
    speed("reference", 0.5),
    speed("fp32", 9.0, batch=4),
    speed("fp32", 1.0),
    speed("int8", 2.5),
]


@pytest.fixture
def speech() -> list[dict[str, Any]]:
    fp32 = [judged(tone(1.0, number), "1 2 3") for number in range(6)]
    int8 = [judged(tone(1.0, number), "1 2 4", 3.25) for number in range(6)]
    return speech_rows({"fp32": fp32, "int8": int8, "fp32_other_seeds": fp32}, "fp32", 50, 1)


def test_speed_and_quality_meet(speech: list[dict[str, Any]], tmp_path: Path) -> None:
    points = collect(speech, SPEEDS, "fp32")
    assert [(p.variant, p.speed, p.over_pytorch) for p in points] == [
        ("fp32", 1.0, 2.0),
        ("int8", 2.5, 5.0),
    ]
    text = render_tradeoff(points, "fp32", random_weights=False)
    assert "| int8 | 2.50 | 5 | 3.25 | -0.25 | 33.3 | 33.3 |" in text
    assert "Random weights" not in text
    assert "Random weights" in render_tradeoff(points, "fp32", random_weights=True)
    draw_tradeoff(tmp_path / "tradeoff.png", points, "fp32", "title")
    assert (tmp_path / "tradeoff.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_baselines_speed_there_is_nothing(speech: list[dict[str, Any]]) -> None:
    assert collect(speech, SPEEDS[3:], "fp32") == []
