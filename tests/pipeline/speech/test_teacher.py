from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.speech.teacher import teacher_judgements
from pipeline.speech.utterances import Line

LINES = [
    Line(0, "你好世界", "zh", 7, 0),
    Line(1, "One two.", "en", 7, 1),
    Line(0, "你好世界", "zh", 8, 2),
]


def test_each_sentence_of_the_file_is_judged_once(tmp_path: Path) -> None:
    row = {"text": "你好世界", "heard": "你好时节", "p808": 3.9, "ovrl": 3.2, "seconds": 1.5}
    path = tmp_path / "teacher.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (found,) = teacher_judgements(path, LINES)
    assert found.utterance.line == LINES[0]
    assert found.utterance.seconds == 1.5
    # 时节 is shi jie as 世界 is: tones do not count, characters do
    assert (found.errors.syllable_errors, found.errors.syllables) == (0, 4)
    assert found.errors.character_errors == 2


def test_a_damaged_file_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "teacher.jsonl"
    path.write_text('{"text": "One two."}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"change checkpoint\.sentences\.teacher"):
        teacher_judgements(path, LINES)
