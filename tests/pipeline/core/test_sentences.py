from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ConfigError
from pipeline.core.sentences import load_sentences

DATA = Path(__file__).parents[3] / "calibration_data"
GOOD: dict[str, Any] = {
    "text": "[laugh]好。",
    "language": "zh",
    "voice_seed": 3,
    "tags": ["laugh"],
    "origin": "a test",
    "licence": "CC0-1.0",
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_reads_fields_and_skips_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", json.dumps(GOOD), "", json.dumps({**GOOD, "text": "b"}))
    first, second = load_sentences(path)
    assert (first.text, first.language, first.voice_seed) == ("[laugh]好。", "zh", 3)
    assert first.tags == ("laugh",)
    assert second.text == "b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not a JSON object"),
        ("[1]", "line 1: all of it: found [1] (list), expected a mapping"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "line 1: not a JSON object"),
        (json.dumps({**GOOD, "speaker": 1}), "speaker: found an unknown key"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "origin"}), "origin: found nothing"),
        (json.dumps({**GOOD, "voice_seed": "3"}), "voice_seed: found '3' (str), expected int"),
        (json.dumps({**GOOD, "voice_seed": True}), "voice_seed: found True (bool)"),
        (json.dumps({**GOOD, "text": "  "}), "text: found nothing to say"),
        (json.dumps({**GOOD, "language": "fr"}), "language: found 'fr'"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "s.jsonl", line)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_sentences(path)
    assert "s.jsonl" in str(caught.value)


def test_missing_empty_short_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_sentences(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="found 0 sentences"):
        load_sentences(write(tmp_path / "empty.jsonl"))
    with pytest.raises(ConfigError, match="found 1 sentences, expected at least 2"):
        load_sentences(write(tmp_path / "short.jsonl", json.dumps(GOOD)), minimum=2)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_sentences(tmp_path / "binary.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sentences(tmp_path)


def test_committed_sentences_cover_what_they_should() -> None:
    calibration = load_sentences(DATA / "calibration.jsonl", 64)
    heldout = load_sentences(DATA / "heldout.jsonl", 24)
    for sentences in (calibration, heldout):
        assert {s.language for s in sentences} == {"zh", "en", "mixed"}
        assert {s.licence for s in sentences} == {"CC0-1.0"}
        assert len({s.voice_seed for s in sentences}) >= 8
        assert any(re.search(r"\d", s.text) for s in sentences)
        assert {"laugh", "uv_break", "speed_5"} <= {tag for s in sentences for tag in s.tags}
        lengths = [len(s.text) for s in sentences]
        assert min(lengths) < 10
        assert max(lengths) > 60
        for sentence in sentences:
            assert re.findall(r"\[([a-z_0-9]+)\]", sentence.text) == list(sentence.tags)


def test_nothing_is_judged_that_was_calibrated_on() -> None:
    calibration = load_sentences(DATA / "calibration.jsonl")
    heldout = load_sentences(DATA / "heldout.jsonl")
    texts = [s.text for s in calibration + heldout]
    assert len(set(texts)) == len(texts)
    assert not {s.voice_seed for s in calibration} & {s.voice_seed for s in heldout}
