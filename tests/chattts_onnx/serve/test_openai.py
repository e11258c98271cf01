"""OpenAI's own Python client against the server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chattts_onnx import InputError
from chattts_onnx.serve.http.routes.openai import VOICES, speed_level
from chattts_onnx.serve.settings import ServeSettings
from tests.chattts_onnx.serve.conftest import HTTP, PATIENCE, STEPS, Running

openai = pytest.importorskip("openai")
SAMPLES = (2 * STEPS - 1) * 64


@pytest.fixture
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{server.url}/v1",
        api_key="any",  # pragma: allowlist secret
        timeout=PATIENCE,
        max_retries=0,
    )


def test_create(client: openai.OpenAI, server: Running) -> None:
    answer = client.audio.speech.create(
        model="tts-1", voice="alloy", input="hello world", response_format="pcm"
    )
    assert len(answer.content) == 2 * SAMPLES
    again = client.audio.speech.create(
        model="second", voice={"id": "anna"}, input="hello", response_format="wav", speed=4.0
    )
    assert again.content[:4] == b"RIFF" and again.response.headers["x-variant"] == "second"


def test_mp3_is_what_comes_without_a_wish(client: openai.OpenAI) -> None:
    pytest.importorskip("soundfile")
    answer = client.audio.speech.create(model="tts-1", voice="7", input="hello")
    assert answer.response.headers["content-type"] == "audio/mpeg" and answer.content[0] == 0xFF


def test_streaming(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="hello world", response_format="pcm"
    ) as answer:
        chunks = list(answer.iter_bytes(chunk_size=1024))
    assert len(chunks) > 2 and len(b"".join(chunks)) == 2 * SAMPLES


async def _stream(url: str) -> bytes:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", timeout=PATIENCE)
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="hello world", response_format="pcm"
    ) as answer:
        data = b"".join([chunk async for chunk in answer.iter_bytes()])
    await client.close()
    return data


def test_asynchronous_streaming(server: Running) -> None:
    import asyncio

    assert len(asyncio.run(_stream(server.url))) == 2 * SAMPLES


def test_server_sent_events(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input="hello world",
        response_format="pcm",
        stream_format="sse",
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [e["type"] for e in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    usage = events[-1]["usage"]
    assert events[-1]["type"] == "speech.audio.done"
    assert usage["input_tokens"] == len("hello world") and usage["output_tokens"] == SAMPLES
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    audio = b"".join(base64.b64decode(e["audio"]) for e in events[:-1])
    assert len(audio) == 2 * SAMPLES and np.frombuffer(audio, "<i2").any()


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "second"]


@pytest.mark.parametrize(
    "name", ["tts-1", "TTS-1-HD", "gpt-4o-mini-tts-2025-12-15", "tts-1-hd-1106", "tiny"]
)
def test_models_may_be_asked_for_by_the_names_that_clients_send(
    client: openai.OpenAI, name: str
) -> None:
    assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError, match="no such variant"):
        client.models.retrieve("whisper-1")


def test_names_of_models_can_be_given(start_server) -> None:  # type: ignore[no-untyped-def]
    named = start_server(models=("gpt-voice=tiny", "*=tiny"))
    listed = [entry["id"] for entry in HTTP.get(f"{named.url}/v1/models").json()["data"]]
    assert listed == ["tiny", "gpt-voice"]
    body = {"input": "hello", "voice": "alloy", "response_format": "pcm"}
    for model in ("gpt-voice", "whatever-there-is"):
        answer = HTTP.post(f"{named.url}/v1/audio/speech", json={**body, "model": model})
        assert answer.status_code == 200 and answer.headers["x-variant"] == "tiny"
    with pytest.raises(InputError, match="NAME=VARIANT"):
        ServeSettings(bundles={"tiny": Path("tiny")}, models=("alone",))


def test_voices_and_models_where_clients_look_for_them(server: Running) -> None:
    voices = HTTP.get(f"{server.url}/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices[:2]] == ["anna", "alloy"]
    assert HTTP.get(f"{server.url}/v1/audio/models").json()["data"]


@pytest.mark.parametrize(
    "further",
    [
        {"response_format": None, "speed": None, "instructions": None},
        {"response_format": "WAV", "stream_format": "AUDIO"},
        {"response_format": "wav", "model": None, "language": "en", "lang_code": "z"},
    ],
)
def test_nulls_case_and_unknown_fields_are_taken(server: Running, further: dict[str, Any]) -> None:
    body = {"model": "tts-1", "input": "hello", "voice": "alloy"} | further
    assert HTTP.post(f"{server.url}/v1/audio/speech", json=body).status_code == 200
    body = {"text": "hello", "format": "PCM", "voice": None, "stream_format": None, "seed": None}
    assert HTTP.post(f"{server.url}/v1/tts", json=body).status_code == 200
    assert HTTP.post(f"{server.url}/v1/tts", json={**body, "unknown": None}).status_code == 422


@pytest.mark.parametrize("voice", ["ALLOY", "Alloy(2)", {"id": "alloy"}, 1, None, ""])
def test_a_voice_in_another_case_or_none_is_theirs(server: Running, voice: Any) -> None:
    body = {"input": "hello", "voice": "alloy", "seed": 1, "response_format": "pcm"}
    answers = [
        HTTP.post(f"{server.url}/v1/audio/speech", json=body | changed)
        for changed in ({}, {"voice": voice})
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no such variant"):
        client.audio.speech.create(model="none", voice="alloy", input="hello")
    with pytest.raises(openai.UnprocessableEntityError, match="aac is not made here"):
        client.audio.speech.create(
            model="tts-1", voice="alloy", input="hello", response_format="aac"
        )
    with pytest.raises(openai.UnprocessableEntityError, match="no such voice"):
        client.audio.speech.create(model="tts-1", voice="nobody", input="hello")


def test_key(start_server, server: Running) -> None:  # type: ignore[no-untyped-def]
    closed = start_server(api_keys=("secret",))
    wrong = openai.OpenAI(base_url=f"{closed.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.audio.speech.create(model="tts-1", voice="alloy", input="hello")
    right = openai.OpenAI(base_url=f"{closed.url}/v1", api_key="secret", timeout=PATIENCE)
    answer = right.audio.speech.create(
        model="tts-1", voice="alloy", input="hello", response_format="wav"
    )
    assert len(answer.content) == 44 + 2 * SAMPLES


def test_each_of_their_voices_is_a_voice_of_its_own(server: Running) -> None:
    assert len(set(VOICES.values())) == len(VOICES) == 13
    body = {"model": "tts-1", "input": "hello", "response_format": "pcm"}
    heard = {
        HTTP.post(f"{server.url}/v1/audio/speech", json={**body, "voice": name}).content
        for name in ("alloy", "cedar")
    }
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("speed", "level"), [(1.0, None), (0.25, 1), (0.5, 3), (0.99, 5), (2.0, 7), (4.0, 9)]
)
def test_speed(speed: float, level: int | None) -> None:
    assert speed_level(speed) == level


@pytest.mark.parametrize(
    "body",
    [
        # Open WebUI, and with its own parameters
        {"model": "tts-1", "input": "Hello there.", "voice": "alloy"},
        {"model": "tts-1-hd", "input": "Hello.", "voice": "nova", "response_format": "mp3"},
        # SillyTavern's OpenAI Compatible
        {"model": "tts-1", "input": "Hi.", "voice": "onyx", "response_format": "mp3", "speed": 1},
    ],
)
def test_what_other_clients_send_is_spoken(server: Running, body: dict[str, Any]) -> None:
    pytest.importorskip("soundfile")
    answer = HTTP.post(
        f"{server.url}/v1/audio/speech", json=body, headers={"Authorization": "Bearer any"}
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("text", ["...", "🙂", " — ", "？！"])
def test_what_says_nothing_is_a_short_silence(server: Running, text: str) -> None:
    body = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": "pcm"}
    answer = HTTP.post(f"{server.url}/v1/audio/speech", json=body)
    assert answer.status_code == 200 and answer.content == bytes(2 * 2000)  # 0.25 s at 8 kHz


def test_times_of_words_come_where_they_are_asked_for(server: Running) -> None:
    body = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "timings": True}
    body |= {"stream_format": "sse", "response_format": "pcm"}
    lines = HTTP.post(f"{server.url}/v1/audio/speech", json=body).text.splitlines()
    kinds = [json.loads(line[6:])["type"] for line in lines if line]
    assert "speech.piece.started" in kinds and "speech.piece.done" in kinds
