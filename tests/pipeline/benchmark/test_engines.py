from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.text import TextTokenizer
from pipeline.benchmark.engine import Engine, EngineSpec
from pipeline.benchmark.inputs import text_ids
from pipeline.benchmark.worker import open_engine
from pipeline.checkpoint import layout
from pipeline.core.errors import BenchmarkError
from tests.chattts_onnx import tiny_bundle

TEXT = "hello world 你 好"


@pytest.fixture(params=["bundle", "reference"])
def engine(request: Any, bundle_folder: Path, tiny_checkpoint: Path) -> Engine:
    folder = bundle_folder if request.param == "bundle" else tiny_checkpoint
    return open_engine(EngineSpec("x", request.param, str(folder), threads=1, seed=1))


def test_measurements_do_the_work_they_report(engine: Engine) -> None:
    assert engine.prefill(2, 9).seconds > 0
    decoded = engine.decode(2, 10, 5)
    assert decoded.steps == 5
    assert decoded.seconds > 0
    spoken = [engine.sentence(TEXT, batch, 8) for batch in (1, 2)]
    assert [timing.steps for timing in spoken] == [8, 8]
    assert spoken[1].audio_seconds == pytest.approx(2 * spoken[0].audio_seconds)


def test_audio_seconds_are_those_of_the_steps(bundle_folder: Path) -> None:
    engine = open_engine(EngineSpec("x", "bundle", str(bundle_folder), 1, 1))
    expected = (2 * 8 - 1) * tiny_bundle.HOP / tiny_bundle.MODEL.sample_rate
    assert engine.sentence(TEXT, 1, 8).audio_seconds == pytest.approx(expected)


def test_first_audio_comes_before_the_end(bundle_folder: Path, tiny_checkpoint: Path) -> None:
    bundle = open_engine(EngineSpec("x", "bundle", str(bundle_folder), 1, 1))
    assert 0 < bundle.first_audio(TEXT, 100).steps < 100
    reference = open_engine(EngineSpec("x", "reference", str(tiny_checkpoint), 1, 1))
    assert reference.first_audio("好", 100).steps == 72
    assert reference.first_audio("好", 30).steps == 30


def test_a_short_look_ahead_is_earlier(bundle_folder: Path) -> None:
    bundle = open_engine(EngineSpec("x", "bundle", str(bundle_folder), 1, 1))
    assert bundle.first_audio(TEXT, 100, look_ahead=1).steps < bundle.first_audio(TEXT, 100).steps


def test_concurrent_requests_are_all_heard(engine: Engine) -> None:
    timing = engine.concurrent(TEXT, 3, 8)
    assert timing.steps == 3 * 8
    assert len(timing.first_audio) == 3
    assert all(0 < seconds <= timing.seconds for seconds in timing.first_audio)
    assert timing.audio_seconds == pytest.approx(3 * engine.sentence(TEXT, 1, 8).audio_seconds)


def test_description_counts_the_files(bundle_folder: Path, engine: Engine) -> None:
    described = engine.describe()
    assert described["threads"] == 1
    assert described["size_bytes"] > 10_000
    bundle = open_engine(EngineSpec("x", "bundle", str(bundle_folder), 1, 1)).describe()
    assert bundle["size_bytes"] == sum(
        path.stat().st_size for path in bundle_folder.rglob("*") if path.is_file()
    )
    assert bundle["provider"] == "CPUExecutionProvider"


@pytest.mark.parametrize("tokens", [1, 5, 72])
def test_prompts_have_the_length_asked_for(tiny_checkpoint: Path, tokens: int) -> None:
    tokenizer = TextTokenizer.load(tiny_checkpoint / layout.TOKENIZER)
    assert text_ids(tokenizer, 3, tokens, 4).shape == (3, tokens, 4)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="engine kind is 'gpu'"):
        open_engine(EngineSpec("x", "gpu", "nowhere", 1, 1))
