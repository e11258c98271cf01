from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import open_bundle
from chattts_onnx.bundle import Bundle
from pipeline.core.sentences import Sentence
from pipeline.speech.utterances import Line, make_lines, speak
from tests.chattts_onnx.tiny_bundle import build

SENTENCES = [Sentence("Hello world.", "en", 7 + n, (), "test", "none") for n in range(3)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("speak") / "tiny"
    build(folder)
    return open_bundle(folder, threads=1)


def test_every_take_has_its_seed_and_voices_take_turns() -> None:
    own = make_lines(SENTENCES, 2, [], 100)
    assert [line.seed for line in own] == list(range(100, 106))
    assert [line.number for line in own] == [0, 1, 2, 0, 1, 2]
    assert [line.voice for line in own] == [7, 8, 9, 7, 8, 9]
    named = make_lines(SENTENCES, 2, ["joe", "ava"], 100)
    assert [line.voice for line in named] == ["joe", "ava", "joe", "ava", "joe", "ava"]


def test_a_sentence_depends_on_its_seed_alone(bundle: Bundle) -> None:
    lines = make_lines(SENTENCES, 1, [], 3)
    together = speak(bundle, lines, 2, 12, min_steps=12)
    again = speak(bundle, lines, 2, 12, min_steps=12)
    for first, second in zip(together, again, strict=True):
        np.testing.assert_array_equal(first.audio, second.audio)
    other = speak(bundle, [replace(line, seed=99) for line in lines], 2, 12, min_steps=12)
    assert not np.array_equal(together[0].audio, other[0].audio)


def test_what_runs_to_the_limit_failed(bundle: Bundle) -> None:
    (stopped,) = speak(bundle, [Line(0, "Hello.", "en", "anna", 1)], 1, 20, min_steps=20)
    assert not stopped.finished
    assert stopped.failed
    assert not stopped.empty
