"""The client against a bundle here and against a real server on a loopback socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import ChatTTSStreamer, open_bundle
from chattts_onnx.client import BrokenStreamError, ConnectionFailedError, RemoteError
from chattts_onnx.errors import (
    AccessError,
    GenerationError,
    InputError,
    OverloadedError,
    QueueFullError,
    RequestCancelledError,
    StoppingError,
    VoiceError,
)
from tests.chattts_onnx.serve.conftest import (
    PATIENCE,
    STEPS,
    Gate,
    Running,
    build_steady,
    running,
    settings_for,
    until,
)

SAMPLES = (2 * STEPS - 1) * 64
# Engine steps until the first chunk: it has 4 steps and looks 7 ahead, and the first engine step
# makes two.
FIRST = 4 + 7 - 1


@pytest.fixture(scope="module")
def steady_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_steady(tmp_path_factory.mktemp("client") / "steady")


@pytest.fixture
def server(steady_path: Path) -> Iterator[Running]:
    with running(settings_for(steady_path, slots=2, queue=1)) as one:
        yield one


@pytest.fixture(params=["local", "remote"])
def streamer(request: pytest.FixtureRequest, steady_path: Path) -> Iterator[ChatTTSStreamer]:
    source = steady_path
    if request.param == "remote":
        source = request.getfixturevalue("server").url
    with ChatTTSStreamer(source, voice=1, timeout=PATIENCE) as one:
        yield one


def test_chunks_joined_are_what_the_bundle_says(
    streamer: ChatTTSStreamer, steady_path: Path
) -> None:
    bundle = open_bundle(steady_path, threads=1)
    expected = np.clip(bundle.say("hello world", voice=1, seed=3, speed=5), -1, 1)
    chunks = list(streamer.stream("hello world", seed=3, speed=5))
    assert len(chunks) > 1 and {chunk.dtype for chunk in chunks} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.clip(np.concatenate(chunks), -1, 1), expected, atol=1e-3)
    assert streamer.sample_rate == bundle.sample_rate
    other = streamer.say("hello world", voice="anna", seed=3)
    assert len(other) == SAMPLES and not np.allclose(other, expected, atol=0.05)


def test_asynchronous(streamer: ChatTTSStreamer) -> None:
    async def listen(seed: int) -> np.ndarray:
        return np.concatenate([c async for c in streamer.astream("hello world", seed=seed)])

    async def both() -> list[np.ndarray]:
        return list(await asyncio.gather(listen(1), listen(2)))

    first, second = asyncio.run(both())
    np.testing.assert_allclose(first, streamer.say("hello world", seed=1), atol=1e-3)
    assert len(second) == SAMPLES


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("", {}, InputError),
        ("hello", {"voice": "bob"}, VoiceError),
        ("hello", {"speed": 12}, InputError),
        ("hello", {"temperature": -1.0}, InputError),
        ("hello", {"seed": -1}, InputError),
    ],
)
def test_what_is_wrong_is_raised_the_same_way_here_and_there(
    streamer: ChatTTSStreamer, text: str, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        list(streamer.stream(text, **options))  # type: ignore[arg-type]

    async def listen() -> None:
        async for _ in streamer.astream(text, **options):  # type: ignore[arg-type]
            pass

    with pytest.raises(error):
        asyncio.run(listen())
    assert len(streamer.say("hello")) == SAMPLES


def test_int16(server: Running, steady_path: Path) -> None:
    with ChatTTSStreamer(steady_path, dtype="int16") as local:
        here = local.say("hello", voice=2, seed=1)
    there = ChatTTSStreamer(server.url, dtype="int16").say("hello", voice=2, seed=1)
    assert here.dtype == there.dtype == np.int16
    assert np.abs(here.astype(int) - there.astype(int)).max() <= 40
    with pytest.raises(InputError, match="dtype is 'int8'"):
        ChatTTSStreamer(server.url, dtype="int8")  # type: ignore[arg-type]


def test_audio_comes_while_it_is_made_and_leaving_frees_the_slot(server: Running) -> None:
    gate = Gate(server.service)
    streamer = ChatTTSStreamer(server.url, timeout=PATIENCE)
    heard: list[int] = []

    def listen() -> None:
        for chunk in streamer.stream("hello world"):
            heard.append(len(chunk))
            break

    thread = threading.Thread(target=listen)
    thread.start()
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it was submitted")
    gate.allow(FIRST)
    thread.join(PATIENCE)
    assert len(heard) == 1 and heard[0] > 0
    engine = server.service.variants.find(None).engine
    until(lambda: all(r.cancelled for r in engine._batch.running), "the server noticed")
    gate.allow(1)
    assert server.service.load() == {"tiny": (0, 0)}
    gate.open()


def test_a_cancelled_task_frees_the_slot(server: Running) -> None:
    gate = Gate(server.service)
    streamer = ChatTTSStreamer(server.url, timeout=PATIENCE)

    async def listen() -> None:
        async for _ in streamer.astream("hello world"):
            pass

    async def leave() -> None:
        task = asyncio.create_task(listen())
        while sum(server.service.load()["tiny"]) == 0:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(gate.allow, 30)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    gate.open()
    until(lambda: server.service.active == 0, "nothing is under way")


def test_a_vector_is_sent_to_a_server(server: Running, steady_path: Path) -> None:
    bundle = open_bundle(steady_path, threads=1)
    vector = bundle.speaker(5)
    assert vector is not None
    streamer = ChatTTSStreamer(server.url, timeout=PATIENCE)
    by_vector = streamer.say("hello", voice=vector, seed=1)
    # FP16 in the text form: the same voice, not bit for bit.
    assert len(by_vector) == SAMPLES
    with pytest.raises(InputError, match="reads no files of yours"):
        streamer.say("hello", voice=steady_path / "voices/anna.npy")


def test_overload_and_shutdown_are_errors_of_their_own(server: Running) -> None:
    gate = Gate(server.service)
    from chattts_onnx.serve.requests import SpeechRequest

    held = [server.service.submit(SpeechRequest("hello")) for _ in range(3)]
    streamer = ChatTTSStreamer(server.url, timeout=PATIENCE)
    with pytest.raises(QueueFullError) as refusal:
        streamer.say("hello")
    assert isinstance(refusal.value, OverloadedError) and refusal.value.retry_after >= 1
    gate.open()
    for speech in held:
        list(speech)
    server.service.stop()
    with pytest.raises(StoppingError):
        streamer.say("hello")


def test_a_missing_key_is_an_error_of_its_own(steady_path: Path) -> None:
    with running(settings_for(steady_path, api_keys=("secret",))) as closed:
        with pytest.raises(AccessError):
            ChatTTSStreamer(closed.url).say("hello")
        # pragma: allowlist nextline secret
        assert len(ChatTTSStreamer(closed.url, api_key="secret").say("hello")) == SAMPLES


def test_audio_that_breaks_off_is_an_error_and_no_silence(server: Running) -> None:
    gate = Gate(server.service)
    streamer = ChatTTSStreamer(server.url, timeout=PATIENCE)
    chunks = streamer.stream("hello world")
    threading.Thread(target=lambda: gate.allow(FIRST)).start()
    assert len(next(chunks)) > 0

    def broken(count: int) -> None:
        raise RuntimeError("no memory")

    server.service.variants.find(None).engine._batch.decoder.step = broken  # type: ignore[method-assign,assignment]
    gate.open()
    with pytest.raises(BrokenStreamError, match="not the whole text"):
        list(chunks)


def test_servers_that_are_not_there_or_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        with pytest.raises(ConnectionFailedError, match="did not answer"):
            ChatTTSStreamer(f"http://127.0.0.1:{port}", timeout=0.05).say("hello")
    with pytest.raises(ConnectionFailedError):
        ChatTTSStreamer(f"http://127.0.0.1:{port}").say("hello")
    for wrong in ("ftp://x", "http://", "http://x:y"):
        with pytest.raises(InputError, match="no address"):
            ChatTTSStreamer(wrong)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\noh!", RemoteError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GenerationError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nab", BrokenStreamError),
        (b"no http\r\n\r\n", ConnectionFailedError),
    ],
)
def test_strange_answers_are_errors(answer: bytes, error: type[Exception]) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(error):
            ChatTTSStreamer(f"http://127.0.0.1:{port}", timeout=PATIENCE).say("hello")
        thread.join(PATIENCE)


def test_it_logs_its_course_and_not_the_text(
    streamer: ChatTTSStreamer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "chattts_onnx.client")
    streamer.say("hello zzsecretzz")
    with pytest.raises(VoiceError):
        streamer.say("hello", voice="zzsecretzz")
    told = [r.getMessage() for r in caplog.records if r.name == "chattts_onnx.client"]
    assert told[0] == "speaking 16 characters"
    assert "first audio after" in told[1] and "RTF" in told[2]
    assert "zzsecretzz" not in "\n".join(told)


def test_closing_ends_what_is_spoken_here(steady_path: Path) -> None:
    streamer = ChatTTSStreamer(steady_path)
    chunks = streamer.stream("hello world " * 40)
    next(chunks)
    streamer.close()
    with pytest.raises((GenerationError, InputError, RequestCancelledError)):
        list(chunks)
