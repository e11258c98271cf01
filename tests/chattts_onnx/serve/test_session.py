"""Conversations over a WebSocket: text in while it is written, speech out, and all that may go
wrong between."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from chattts_onnx.serve import session
from chattts_onnx.serve.connection import LONGEST_MESSAGE
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.service import SpeechService
from chattts_onnx.speech.live import LiveText
from tests.chattts_onnx.serve.conftest import HTTP, PATIENCE, STEPS, Gate, Running, until

websocket = pytest.importorskip("websocket")
Start = Callable[..., Running]
SAMPLES = (2 * STEPS - 1) * 64
ENDS = ("speech.audio.done", "speech.cancelled", "error")


class Talk:
    """A client."""

    def __init__(self, server: Running, **options: Any) -> None:
        address = server.url.replace("http", "ws") + "/v1/tts/stream"
        self.socket = websocket.create_connection(address, timeout=PATIENCE, **options)

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def say(self, *parts: str) -> None:
        for part in parts:
            self.send("text", text=part)
        self.send("end")

    def receive(self) -> dict[str, Any] | bytes:
        """The next message; the number with which the server closes."""
        code, data = self.socket.recv_data()
        if code == websocket.ABNF.OPCODE_BINARY:
            return bytes(data)
        if code == websocket.ABNF.OPCODE_CLOSE:
            return {"type": "closed", "code": int.from_bytes(data[:2], "big")}
        return json.loads(data)  # type: ignore[no-any-return]

    def speech(self) -> tuple[list[dict[str, Any]], np.ndarray]:
        """Events and samples up to the end of a speech."""
        events: list[dict[str, Any]] = []
        audio = b""
        while not events or events[-1]["type"] not in (*ENDS, "closed"):
            message = self.receive()
            if isinstance(message, bytes):
                audio += message
            else:
                events.append(message)
        return events, np.frombuffer(audio, "<i2")


@contextmanager
def talking(server: Running, **options: Any) -> Iterator[Talk]:
    talk = Talk(server, **options)
    try:
        yield talk
    finally:
        talk.socket.close()


@pytest.fixture
def talk(server: Running) -> Iterator[Talk]:
    with talking(server) as one:
        one.send("options", voice="anna", seed=1)
        yield one


def test_speech_comes_with_the_times_of_what_is_said(talk: Talk) -> None:
    talk.say("Hello ", "there, how are", " you? I am", " fine")
    events, audio = talk.speech()
    kinds = [event["type"].removeprefix("speech.") for event in events]
    pieces = ["piece.started", "piece.done"] * 3
    assert kinds == ["started", *pieces, "audio.done"]
    done = [event for event in events if event["type"] == "speech.piece.done"]
    assert [event["text"] for event in done] == ["Hello there,", "how are you?", "I am fine"]
    rate = events[0]["sample_rate"]
    for event in done:
        assert round((event["end"] - event["start"]) * rate) == SAMPLES
        assert event["sentences"][0]["exact"] and event["words_by"] == "length"
    assert round(done[-1]["end"] * rate) == len(audio)
    assert events[-1]["usage"] == {
        "input_tokens": 35,
        "output_tokens": len(audio),
        "total_tokens": 35 + len(audio),
    }
    again = Talk.speech
    talk.say("Hello there, how are you? I am fine")
    np.testing.assert_array_equal(again(talk)[1], audio)  # however the text is cut


def test_speeches_of_one_connection_follow_each_other(talk: Talk) -> None:
    talk.say("Hello there. ")
    talk.send("options", voice="anna", seed=1, format="wav")
    talk.say("Hello there. ")
    first, second = talk.speech(), talk.speech()
    assert first[0][-1]["type"] == second[0][-1]["type"] == "speech.audio.done"
    assert (first[0][0]["format"], second[0][0]["format"]) == ("pcm", "wav")


def test_flush_speaks_what_is_there(talk: Talk) -> None:
    talk.send("text", text="Hello")
    talk.send("flush")
    assert isinstance(talk.receive(), dict)
    started = talk.receive()
    assert isinstance(started, dict) and started["text"] == "Hello"
    talk.say(" there")
    assert talk.speech()[0][-1]["type"] == "speech.audio.done"


def steps_until_sound(service: SpeechService, request: SpeechRequest) -> int:
    gate = Gate(service)
    speech = service.submit(request)
    until(lambda: sum(service.load()["tiny"]) == 1, "it is submitted")
    heard = threading.Event()

    def listen() -> None:
        next(iter(speech))
        heard.set()

    thread = threading.Thread(target=listen)
    thread.start()
    while not heard.wait(0.05):
        gate.allow(1)
    gate.open()
    thread.join(PATIENCE)
    service.cancel_all()
    until(lambda: not service.active, "it has ended")
    return gate.steps


def test_the_first_clause_sounds_no_later_than_alone(
    start_service: Callable[..., SpeechService],
) -> None:
    alone = steps_until_sound(start_service(), SpeechRequest("Hello there,", 7))
    live = LiveText()
    live.write("Hello there, h")  # nothing of the rest is written yet
    spoken = steps_until_sound(start_service(), SpeechRequest("", 7, live=live))
    assert spoken <= alone + 1 < STEPS  # one more may have run while the test looked


def test_a_barge_in_frees_the_slot_within_a_step(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    with talking(server) as talk:
        talk.send("options", seed=1)
        talk.send("text", text="Hello there, how are you")
        until(lambda: server.service.load()["tiny"] != (0, 0), "it is submitted")
        gate.allow(3)
        assert server.service.load()["tiny"] == (1, 0)
        talk.send("cancel")
        events, _ = talk.speech()
        gate.allow(1)
        assert server.service.load()["tiny"] == (0, 0)
        assert [e["type"] for e in events] == ["speech.started", "speech.cancelled"]
        gate.open()
        talk.say("And again")
        assert talk.speech()[0][-1]["type"] == "speech.audio.done"


def test_leaving_ends_the_speech(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    with talking(server) as talk:
        talk.send("options")
        talk.send("text", text="Hello there, how are you? ")
        until(lambda: server.service.load()["tiny"] != (0, 0), "it is submitted")
        [speech] = server.service._speeches
    assert speech._narration is not None
    tickets = list(speech._narration._tickets)
    until(lambda: all(ticket._cancelled for ticket in tickets), "it was cancelled")
    gate.allow(1)
    assert server.service.load()["tiny"] == (0, 0)


@pytest.mark.parametrize(
    ("message", "kind", "said", "code"),
    [
        ("hello", "InputError", "no JSON", 1007),
        ("[1]", "InputError", "no object", 1007),
        ('{"type": "txet"}', "InputError", "no known type", 1007),
        ('{"type": "text", "text": 5}', "InputError", "no known type", 1007),
        ("[" * 60_000, "InputError", "no JSON", 1007),
    ],
)
def test_what_is_no_message_ends_the_connection(
    talk: Talk, message: str, kind: str, said: str, code: int
) -> None:
    talk.socket.send(message)
    error, closed = talk.receive(), talk.receive()
    assert isinstance(error, dict) and error["error"]["type"] == kind
    assert said in error["error"]["message"]
    assert closed == {"type": "closed", "code": code}


def test_options_come_first(server: Running) -> None:
    with talking(server) as talk:
        talk.send("text", text="Hello")
        error, closed = talk.receive(), talk.receive()
        assert isinstance(error, dict) and error["error"]["type"] == "AccessError"
        assert closed == {"type": "closed", "code": 1008}


def test_a_wrong_option_is_named_and_may_be_mended(talk: Talk) -> None:
    talk.send("options", speed=12, txet="a")
    error = talk.receive()
    assert isinstance(error, dict) and error["error"]["code"] == 422
    assert "speed" in error["error"]["message"] and "txet" in error["error"]["message"]
    talk.send("options", variant="none")
    talk.say("Hello")
    [error] = talk.speech()[0]
    assert error["error"]["type"] == "UnknownVariantError"
    talk.send("options")
    talk.say("Hello")
    assert talk.speech()[0][-1]["type"] == "speech.audio.done"


def test_text_that_nobody_can_speak_in_time_is_refused(start_server: Start) -> None:
    server = start_server(max_chars=50)
    gate = Gate(server.service)
    with talking(server) as talk:
        talk.send("options")
        for _ in range(20):
            talk.send("text", text="Hello there. Hello. ")
        events, _ = talk.speech()
        assert events[-1]["error"]["type"] == "TooLargeError"
        gate.open()
        talk.send("end")
        talk.say("Hello")
        assert talk.speech()[0][-1]["type"] == "speech.audio.done"


def test_more_than_the_server_takes_is_told(start_server: Start) -> None:
    server = start_server(slots=1, queue=0)
    gate = Gate(server.service)
    with talking(server) as one, talking(server) as two:
        one.send("options")
        one.send("text", text="Hello there. H")
        until(lambda: server.service.active == 1, "it was admitted")
        two.send("options")
        two.say("Hello")
        [error] = two.speech()[0]
        assert error["error"]["type"] == "OverloadedError" and error["error"]["code"] == 429
        gate.open()


def test_keys(start_server: Start) -> None:
    server = start_server(api_keys=("right",))
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        Talk(server, header=["Authorization: Bearer wrong"])
    assert refused.value.status_code == 401
    first = {"api_key": "right"}  # pragma: allowlist secret
    for options, header in (({}, ["X-API-Key: right"]), (first, [])):
        with talking(server, header=header) as talk:
            talk.send("options", **options)
            talk.say("Hello")
            assert talk.speech()[0][-1]["type"] == "speech.audio.done"
    wrong = {"api_key": "wrong"}  # pragma: allowlist secret
    for options in ({}, wrong):
        with talking(server) as talk:
            talk.send("options", **options)
            error, closed = talk.receive(), talk.receive()
            assert isinstance(error, dict) and error["error"]["code"] == 401
            assert closed == {"type": "closed", "code": 1008}


def test_who_says_nothing_is_let_go(start_server: Start) -> None:
    server = start_server(idle_seconds=0.2, receive_seconds=0.2, api_keys=("right",))
    for header in ([], ["X-API-Key: right"]):  # a stranger, and a friend
        with talking(server, header=header) as talk:
            error, closed = talk.receive(), talk.receive()
            assert isinstance(error, dict) and error["error"]["type"] == "TimeLimitError"
            assert closed == {"type": "closed", "code": 1001}


def test_who_listens_need_not_speak(start_server: Start) -> None:
    server = start_server(idle_seconds=0.2)
    gate = Gate(server.service)
    with talking(server) as talk:
        talk.send("options")
        talk.say("Hello")
        time.sleep(0.5)
        gate.open()
        assert talk.speech()[0][-1]["type"] == "speech.audio.done"


def test_pages_of_elsewhere_are_refused(server: Running) -> None:
    for options in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            Talk(server, **options)
        assert refused.value.status_code == 403
    with talking(server, origin=server.url) as talk:
        talk.send("options")


def test_messages_have_a_greatest_size(talk: Talk) -> None:
    talk.send("text", text="a" * LONGEST_MESSAGE)
    assert talk.receive() == {"type": "closed", "code": 1009}


def test_who_writes_too_fast_waits(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, server: Running
) -> None:
    monkeypatch.setattr(session, "MESSAGES_PER_SECOND", 50.0)
    began = time.monotonic()
    for _ in range(session.BURST + 20):
        talk.send("flush")
    talk.say("Hello")
    assert talk.speech()[0][-1]["type"] == "speech.audio.done"
    assert time.monotonic() - began >= 20 / 50 * 0.9


def test_connections_are_counted(start_server: Start) -> None:
    server = start_server(max_connections=2)
    with talking(server), talking(server):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            Talk(server)
        assert refused.value.status_code == 503


def test_neither_query_nor_text_is_logged(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    marker = "secret".join(("zz", "zz"))
    address = f"{server.url.replace('http', 'ws')}/v1/tts/stream?text={marker}&api_key={marker}"
    connection = websocket.create_connection(address, timeout=PATIENCE)
    connection.send(json.dumps({"type": "options"}))
    connection.send(json.dumps({"type": "text", "text": marker}))
    connection.send(json.dumps({"type": "end"}))
    while b"speech.audio.done" not in connection.recv_data()[1]:
        pass
    connection.close()
    until(lambda: "WebSocket /v1/tts/stream 101" in caplog.text, "it is logged")
    assert marker not in caplog.text


def test_shutdown_lets_a_speech_end(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    with talking(server) as talk, talking(server) as idle:
        idle.send("options")
        talk.send("options")
        talk.send("text", text="Hello there, how are you")
        until(lambda: server.service.load()["tiny"] != (0, 0), "it is submitted")
        server.service.stop()
        server.server.should_exit = True
        threading.Timer(0.3, gate.open).start()
        events, audio = talk.speech()
        assert events[-1]["type"] == "speech.audio.done" and len(audio) > 2 * SAMPLES
        for one in (talk, idle):
            error = one.receive()
            assert isinstance(error, dict) and error["error"]["type"] == "StoppingError"
            assert one.receive() == {"type": "closed", "code": 1001}


def test_garbage_at_the_handshake_harms_nobody(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as one:
        one.sendall(
            b"GET /v1/tts/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n"
        )
        assert one.recv(100).startswith(b"HTTP/1.1 4")
    assert HTTP.get(f"{server.url}/health").status_code == 200


def test_server_sent_events_tell_the_same(server: Running) -> None:
    body = {"text": "Hello there. How are you?", "stream_format": "sse", "format": "pcm"}
    answer = HTTP.post(f"{server.url}/v1/tts", json={**body, "apart": True, "voice": "anna"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    audio = b"".join(
        base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta"
    )
    done = [e for e in events if e["type"] == "speech.piece.done"]
    assert [e["text"] for e in done] == ["Hello there.", "How are you?"]
    assert all(e["sentences"][0]["exact"] for e in done)
    assert events[-1]["usage"]["output_tokens"] == len(audio) // 2
    assert events[-1]["usage"]["total_tokens"] == len(audio) // 2 + len(body["text"])
