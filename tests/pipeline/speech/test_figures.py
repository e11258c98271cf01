from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipeline.speech.figures import METRICS, Judgement, Judges, speech_rows
from pipeline.speech.utterances import Line, Utterance
from tests.pipeline.speech.spoken import judged, tone

SENTENCES = 6


class Fake:
    """A judge that answers the same to all and notes what it heard."""

    SIZE = 256
    multilingual = False

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self, audio: Any) -> Any:
        self.calls += 1
        return self.answer

    def transcript(self, audio: Any, language: str) -> str:
        self.calls += 1
        assert language == "en"
        return str(self.answer)


def figures(rows: list[dict[str, Any]], variant: str) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in rows if row["variant"] == variant}


def variant(
    wrong: int, failed: int = 0, seconds: float = 1.0, p808: float = 3.5
) -> list[Judgement]:
    """Six sentences of three words; ``wrong`` with one wrong word, ``failed`` unfinished."""
    return [
        judged(
            tone(seconds, number, finished=number >= failed),
            "1 2 4" if number < wrong else "1 2 3",
            p808,
        )
        for number in range(SENTENCES)
    ]


def test_rows_of_all_metrics() -> None:
    judgements = {"fp32": variant(1), "int8": variant(3, failed=2, seconds=1.5, p808=3.25)}
    rows = speech_rows(judgements, "fp32", 200, 1)
    base, int8 = figures(rows, "fp32"), figures(rows, "int8")
    # no Mandarin and no teacher here
    without = {"pinyin_error_rate", "pinyin_error_rate_change"}
    assert set(int8) == {name for name in METRICS if "teacher" not in name} - without
    assert not any(name.endswith("_change") for name in base)
    assert base["word_error_rate"] == pytest.approx(100 / 18)
    assert int8["word_error_rate_change"] == pytest.approx(200 / 18)
    assert int8["dnsmos_p808_change"] == pytest.approx(-0.25)
    assert int8["dnsmos_ovrl"] == pytest.approx(2.75)
    assert int8["duration_ratio"] == pytest.approx(1.5)
    assert int8["failure_rate"] == pytest.approx(100 / 3)
    assert base["speaker_similarity"] == pytest.approx(1.0)
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"], row
        assert row.get("baseline") == ("fp32" if row["metric"].endswith("_change") else None)


def test_an_empty_utterance_fails_and_all_its_words_are_wrong() -> None:
    silent = tone(0.01)
    judges = Judges(Fake("one"), Fake((3.0, 3.0)), Fake(np.ones(256)))  # type: ignore[arg-type]
    found = judges(silent)
    assert silent.failed
    assert (found.errors.word_errors, found.errors.words) == (3, 3)
    assert math.isnan(found.p808)
    empty = {"fp32": [found, judged(tone(1.0, 1), "1 2 3", 3.5)]}
    rows = figures(speech_rows(empty, "fp32", 10, 1), "fp32")
    assert rows["dnsmos_p808"] == 3.5  # of those that there are
    assert rows["word_error_rate"] == 50.0
    assert rows["failure_rate"] == 50.0
    assert rows["speaker_similarity"] == 1.0


def test_a_waveform_of_nan_is_no_speech() -> None:
    broken = tone(1.0, audio=np.full(24_000, np.nan, np.float32))
    assert broken.failed


def test_every_judge_hears_an_utterance() -> None:
    fakes = [Fake("one two three"), Fake((3.25, 2.5)), Fake(np.eye(1, 256)[0])]
    found = Judges(*fakes)(tone(1.0))  # type: ignore[arg-type]
    assert [fake.calls for fake in fakes] == [1, 1, 1]
    assert found.errors.word_errors == 0
    assert (found.p808, found.overall) == (3.25, 2.5)


def in_mandarin(number: int, heard: str, topic: str) -> Judgement:
    """A sentence of four syllables."""
    line = Line(number, "你好世界", "zh", 7, number, topic)
    utterance = Utterance(line, tone(1.0).audio, 24_000, finished=True)
    return judged(utterance, heard)


def test_each_language_and_set_has_rows_and_its_own_errors() -> None:
    english = [judged(tone(1.0, number), "1 2 3") for number in range(5)]
    mandarin = [
        in_mandarin(
            5 + number, "你号世界" if number else "再见世界", "domain" if number < 3 else "talk"
        )
        for number in range(6)
    ]
    rows = speech_rows({"fp32": [*english, *mandarin]}, "fp32", 50, 1)
    found = {(row["metric"], row["language"], row["set"]): row["value"] for row in rows}
    # 号 sounds like 好, 再见 like nothing of 你好
    assert found["pinyin_error_rate", "zh", "all"] == pytest.approx(100 * 2 / 24)
    assert found["pinyin_error_rate", "zh", "domain"] == pytest.approx(100 * 2 / 12)
    assert found["pinyin_error_rate", "zh", "talk"] == 0
    assert found["pinyin_error_rate", "all", "all"] == found["pinyin_error_rate", "zh", "all"]
    assert found["word_error_rate", "en", "all"] == 0
    assert ("word_error_rate", "zh", "all") not in found
    assert ("pinyin_error_rate", "en", "all") not in found
    assert found["dnsmos_p808", "zh", "talk"] == 3.5


def test_the_teacher_is_a_variant_and_a_measure() -> None:
    own = [judged(tone(1.0, number, f"one two {number}"), "1 2 9") for number in range(6)]
    his = [judged(tone(1.0, number, f"one two {number}"), f"1 2 {number}") for number in range(3)]
    rows = speech_rows({"fp32": own}, "fp32", 50, 1, his)
    assert figures(rows, "teacher")["word_error_rate"] == 0
    assert "speaker_similarity" not in figures(rows, "teacher")
    over = figures(rows, "fp32")["word_error_rate_over_teacher"]
    assert over == pytest.approx(100 / 3)
