"""A text is the same speech whoever speaks it: alone, through an engine, served, among lines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import (
    Bundle,
    ChatTTSStreamer,
    Engine,
    QueueFullError,
    StreamOptions,
    VoiceError,
)
from chattts_onnx.audio.read import read_audio
from chattts_onnx.bulk import Corpus, Defaults, Job, Settings, run, scan
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.service import SpeechService
from chattts_onnx.serve.settings import ServeSettings
from chattts_onnx.speech.engine import Ticket
from chattts_onnx.speech.narration import Narration
from chattts_onnx.speech.options import SpeechOptions
from chattts_onnx.speech.script import Part, Script

TEXT = "hello world. good morning, one 2 three.\n\nhello one. hello two. 你好, hello three."
OPTIONS: SpeechOptions = {
    "seed": 3,
    "piece_tokens": 6,
    "min_new_tokens": 6,
    "max_new_tokens": 20,
    "temperature": 0.9,
    "repetition_penalty": 1.2,
}
REFINED: SpeechOptions = {**OPTIONS, "refine_prompt": "[oral_0]", "language": "en"}


def served(bundle: Bundle, voice: str | None, options: SpeechOptions) -> np.ndarray:
    service = SpeechService(ServeSettings(bundles={"tiny": bundle.path})).start()
    try:
        return np.concatenate(list(service.submit(SpeechRequest(TEXT, voice, **options))))
    finally:
        service.close()


def in_bulk(bundle: Bundle, voice: str | None, options: SpeechOptions, folder: Path) -> np.ndarray:
    corpus = folder / "corpus.jsonl"
    corpus.write_text(json.dumps({"text": TEXT, "seed": options["seed"]}) + "\n", "utf-8")
    source, settings = Corpus((corpus,)), Settings(Defaults(voice, 0, options), container="folder")
    run(Job(source, scan(source, 1000), bundle.path, folder / "out", settings), bundle)
    (entry,) = (
        json.loads(x) for x in (folder / "out/manifest.jsonl").read_text("utf-8").splitlines()
    )
    assert entry["error"] is None and entry["temperature"] == options["temperature"]
    return read_audio(next((folder / "out").rglob("*.wav"))).audio


@pytest.mark.parametrize("voice", [None, "anna"])
@pytest.mark.parametrize("options", [OPTIONS, REFINED], ids=["plain", "refined"])
def test_everyone_speaks_it_alike(
    bundle: Bundle, voice: str | None, options: SpeechOptions, tmp_path: Path
) -> None:
    said = bundle.say(TEXT, voice, **options)
    assert len(said) > bundle.sample_rate
    streamed = np.concatenate(list(bundle.stream(TEXT, voice, **options)))
    with ChatTTSStreamer(bundle) as streamer:
        client = streamer.say(TEXT, voice, **options)
    for other in (streamed, client, served(bundle, voice, options)):
        np.testing.assert_allclose(other, said, atol=1e-4)
    # 16 bits of a file.
    np.testing.assert_allclose(
        in_bulk(bundle, voice, options, tmp_path), said.clip(-1, 1), atol=1e-4
    )


DIRECTED = (
    '<break time="0.3s"/>hello world. [voice:anna]good morning [pause:0.2s] one. [voice:9] two. '
    "[pause:0.4s]"
)


@pytest.mark.parametrize("tempo", [None, 1.5])
def test_everyone_follows_directions_alike(
    bundle: Bundle, tempo: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chattts_onnx.speech.test_script.TEXT", DIRECTED)
    options: SpeechOptions = {**OPTIONS, "min_new_tokens": 20}
    if tempo is not None:
        pytest.importorskip("av")
        options["tempo"] = tempo
    said = bundle.say(DIRECTED, 7, **options)
    quiet, rate = 1.0 if tempo is None else 1 / tempo, bundle.sample_rate
    assert not said[: round(0.3 * quiet * rate)].any() and said[: round(0.4 * rate)].any()
    tail = round(0.39 * quiet * rate)
    assert np.abs(said[-tail:]).max() <= 0.005 < np.abs(said[-2 * tail :]).max()
    streamed = np.concatenate(list(bundle.stream(DIRECTED, 7, **options)))
    others = [streamed, served(bundle, "7", options), in_bulk(bundle, "7", options, tmp_path)]
    for other in others:
        np.testing.assert_allclose(other.clip(-1, 1), said.clip(-1, 1), atol=2e-4)


def test_voices_of_a_text_are_asked_for_before_any_work(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = list(Script(bundle, "[voice:anna]hello. [voice:9]one. [voice:]two.", 7, OPTIONS))
    wanted = [bundle.speaker(voice) for voice in ("anna", 9, 7)]
    for part, vector in zip(parts, wanted, strict=True):
        np.testing.assert_array_equal(part.passes.first.speaker, vector)
    monkeypatch.setattr(bundle, "decoder", None)
    with pytest.raises(VoiceError, match=r"\[voice:nobody\]: no such voice; .*anna"):
        bundle.stream("hello. [voice:nobody] one.")
    # Text is what anybody sends: it opens no file.
    voice = tmp_path / "mine.txt"
    voice.write_text("anything", "utf-8")
    with pytest.raises(VoiceError, match="no such voice"):
        bundle.stream(f"hello. [voice:{voice}] one.")


class Held:
    """Turns of an engine that steps only as often as it is told."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)
        self._open = threading.Event()

    @contextmanager
    def turn(self) -> Iterator[None]:
        while not self._open.is_set() and not self._allowed.acquire(timeout=0.01):
            pass
        yield

    def step_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            self._allowed.release()
            time.sleep(0.02)
        while self._allowed.acquire(blocking=False):
            pass

    def open(self) -> None:
        self._open.set()


def test_a_full_queue_refuses_a_text_and_never_cuts_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: SpeechOptions = {**OPTIONS, "piece_tokens": 4}
    held = Held()
    refused = []

    def narration(seed: int) -> Narration:
        script = Script(bundle, TEXT, "anna", {**options, "seed": seed})
        return Narration(engine, script, StreamOptions(first_chunk=2))

    with Engine(bundle, slots=1, queue_size=1, step_turns=held) as engine, ExitStack() as stack:  # type: ignore[arg-type]
        stack.callback(held.open)
        speaking = narration(3)
        attempt = speaking._try

        def tried(part: Part) -> Ticket | None:
            ticket = attempt(part)
            if part is not None and ticket is None:
                refused.append(part)
                held.open()
            return ticket

        monkeypatch.setattr(speaking, "_try", tried)
        speaking.start()
        endless = bundle.default_params().but(min_new_tokens=100, max_new_tokens=100)
        held.step_until(lambda: engine.load == (1, 0))
        waiting = [engine.submit("hello", 1, params=endless)]
        # Its first piece ends, and the other takes its place.
        held.step_until(lambda: engine.load == (1, 0))
        waiting.append(engine.submit("hello", 1, params=endless))
        with pytest.raises(QueueFullError):
            engine.submit("hello", 1, params=endless)
        with pytest.raises(QueueFullError):
            narration(4).start()
        heard = list(speaking)
    assert refused
    said = bundle.say(TEXT, "anna", **options)
    np.testing.assert_allclose(np.concatenate(heard), said, atol=1e-4)


def test_each_piece_is_planned_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from chattts_onnx.speech import script

    planned = []
    plan = script.plan
    monkeypatch.setattr(script, "plan", lambda *args: planned.append(args[1]) or plan(*args))
    bundle.say(TEXT, "anna", **OPTIONS)
    assert len(planned) == len(set(planned)) > 2
