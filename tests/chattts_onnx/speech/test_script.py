"""A text is the same speech whoever speaks it: alone, through an engine, served, among lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, ChatTTSStreamer, Engine, QueueFullError, StreamOptions
from chattts_onnx.audio.read import read_audio
from chattts_onnx.bulk import Corpus, Defaults, Job, Settings, run, scan
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.service import SpeechService
from chattts_onnx.serve.settings import ServeSettings
from chattts_onnx.speech.narration import Narration
from chattts_onnx.speech.options import SpeechOptions
from chattts_onnx.speech.script import Script

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


def test_a_full_queue_refuses_a_text_and_never_cuts_one(bundle: Bundle) -> None:
    options: SpeechOptions = {**OPTIONS, "piece_tokens": 4}

    def narration(seed: int) -> Narration:
        script = Script(bundle, TEXT, "anna", {**options, "seed": seed})
        return Narration(engine, script, StreamOptions(first_chunk=2))

    with Engine(bundle, slots=1, queue_size=1) as engine:
        speaking = narration(3)
        speaking.start()
        chunks = iter(speaking)
        heard = [next(chunks)]
        endless = bundle.default_params().but(min_new_tokens=100, max_new_tokens=100)
        waiting = [engine.submit("hello", 1, params=endless)]
        with pytest.raises(QueueFullError):
            for _ in range(3):
                waiting.append(engine.submit("hello", 1, params=endless))
        with pytest.raises(QueueFullError):
            narration(4).start()
        heard += list(chunks)
    said = bundle.say(TEXT, "anna", **options)
    np.testing.assert_allclose(np.concatenate(heard), said, atol=1e-4)


def test_each_piece_is_planned_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from chattts_onnx.speech import script

    planned = []
    plan = script.plan
    monkeypatch.setattr(script, "plan", lambda *args: planned.append(args[1]) or plan(*args))
    bundle.say(TEXT, "anna", **OPTIONS)
    assert len(planned) == len(set(planned)) > 2
