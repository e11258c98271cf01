"""The application on a real socket."""

from __future__ import annotations

import http.client
import io
import json
import logging
import socket
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chattts_onnx.serve.conftest import (
    HTTP,
    PATIENCE,
    STEPS,
    Gate,
    Running,
    build_steady,
    until,
)

Start = Callable[..., Running]
SAMPLES = (2 * STEPS - 1) * 64
HELLO = {"text": "hello world", "voice": 1, "seed": 1}


def post(server: Running, path: str = "/v1/tts", **kwargs: Any) -> httpx.Response:
    return HTTP.post(server.url + path, timeout=PATIENCE, **kwargs)


def get(server: Running, path: str, **kwargs: Any) -> httpx.Response:
    return HTTP.get(server.url + path, timeout=PATIENCE, **kwargs)


def metric(server: Running, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(get(server, "/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def expected(server: Running) -> np.ndarray:
    bundle = server.service.variants.find(None).bundle
    return bundle.say("hello world", voice=1, seed=1)


def test_get_and_post_give_the_bundle_s_speech(server: Running) -> None:
    for answer in (get(server, "/v1/tts", params=HELLO), post(server, json=HELLO)):
        assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
        assert (answer.headers["x-sample-rate"], answer.headers["x-seed"]) == ("8000", "1")
        assert answer.headers["x-variant"] == "tiny"
        samples = np.frombuffer(answer.content[44:], dtype="<i2") / 32767
        np.testing.assert_allclose(samples, np.clip(expected(server), -1, 1), atol=1e-3)
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)


@pytest.mark.parametrize(
    ("form", "kind", "magic"),
    [
        ("wav", "audio/wav", b"RIFF\xff\xff\xff\xffWAVE"),
        ("pcm", "audio/pcm; rate=8000; channels=1", b""),
        ("flac", "audio/flac", b"fLaC"),
        ("mp3", "audio/mpeg", b"\xff"),
        ("opus", "audio/ogg; codecs=opus", b"OggS"),
    ],
)
def test_formats(server: Running, form: str, kind: str, magic: bytes) -> None:
    if form in ("flac", "mp3", "opus"):
        pytest.importorskip("soundfile")
    answer = post(server, json={**HELLO, "format": form})
    assert answer.headers["content-type"] == kind
    assert answer.content.startswith(magic) and len(answer.content) > 500


def test_audio_comes_while_it_is_made(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    sock = _ask(server, {**HELLO, "format": "pcm"})
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it is submitted")
    gate.allow(30)  # of 60: the model stands still while this half is heard
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    early = answer.read(2 * 4 * 128)
    assert len(early) == 2 * 4 * 128 and server.service.load() == {"tiny": (1, 0)}
    gate.open()
    samples = np.frombuffer(early + answer.read(), dtype="<i2") / 32767
    np.testing.assert_allclose(samples, np.clip(expected(server), -1, 1), atol=1e-3)
    sock.close()


def test_variants_and_voices(server: Running) -> None:
    listed = get(server, "/v1/variants").json()
    assert [v["id"] for v in listed["variants"]] == ["tiny", "second"]
    assert listed["variants"][0]["sample_rate"] == 8000 and "wav" in listed["formats"]
    found = get(server, "/v1/voices", params={"variant": "second"}).json()
    assert found["voices"] == [{"id": "anna", "kind": "named"}] and found["variant"] == "second"
    answer = post(server, json={**HELLO, "variant": "second", "voice": "anna"})
    assert answer.headers["x-variant"] == "second"


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"text": " "}, 422, "InputError", "text is empty"),
        ({}, 422, "InputError", "body.text: Field required"),
        ({"text": "hello", "voice": "bob"}, 422, "VoiceError", "a name (anna)"),
        ({"text": "hello", "speed": 10}, 422, "InputError", "body.speed"),
        ({"text": "hello", "colour": 1}, 422, "InputError", "body.colour"),
        ({"text": "hello", "format": "aac"}, 422, "InputError", "body.format"),
        ({"text": "hello", "variant": "x"}, 404, "UnknownVariantError", "tiny, second"),
        ({"text": "hello" * 1001}, 413, "TooLargeError", "5005 characters"),
    ],
)
def test_mistakes_have_a_status_and_a_message(
    server: Running, body: dict[str, Any], status: int, kind: str, message: str
) -> None:
    answer = post(server, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, kind, status)
    assert message in error["message"]


def test_other_mistakes(server: Running) -> None:
    json_kind = {"content-type": "application/json"}
    assert post(server, content=b"{", headers=json_kind).status_code == 422
    missing = get(server, "/nowhere")
    assert missing.status_code == 404 and missing.json()["error"]["type"] == "HTTPException"
    assert HTTP.put(server.url + "/v1/tts").status_code == 405
    answer = post(server, content=b"\xff\xfe{}", headers=json_kind)
    assert answer.status_code in (400, 422) and "error" in answer.json()


def test_mistakes_of_many_fields_make_a_short_answer(server: Running) -> None:
    few = post(server, json={"text": "hello"} | {f"x{i}" * 100: 1 for i in range(20)})
    assert few.status_code == 422 and "and 15 more" in few.json()["error"]["message"]
    assert len(few.content) < 1000
    many = post(server, json={"text": "hello"} | {f"x{i}": 1 for i in range(1000)})
    assert many.status_code == 422 and "1001 fields" in many.json()["error"]["message"]


def test_half_a_surrogate_pair_is_answered(server: Running) -> None:
    kind = {"content-type": "application/json"}
    for body in (r'{"text": "hello \ud800"}', r'{"text": "hello", "\udfff": 1}'):
        answer = post(server, content=body.encode(), headers=kind)
        assert answer.status_code in (200, 422)


def test_bodies_are_limited_declared_or_not(start_server: Start) -> None:
    server = start_server(max_body_bytes=1000)
    declared = post(server, json={"text": "hello", "voice": "x" * 2000})
    assert declared.status_code == 413 and "1000 bytes" in declared.json()["error"]["message"]

    def chunks() -> Any:
        yield b'{"text": "'
        for _ in range(100):
            yield b"x" * 100
        yield b'"}'

    headers = {"content-type": "application/json"}
    undeclared = post(server, content=chunks(), headers=headers)
    assert undeclared.status_code == 413
    assert post(server, json={"text": "hello"}).status_code == 200


def test_keys(start_server: Start) -> None:
    server = start_server(api_keys=("one", "two"), admin_keys=("root",))
    for headers in ({}, {"authorization": "Bearer on"}, {"x-api-key": ""}, {"x-api-key": "three"}):
        refused = post(server, json=HELLO, headers=headers)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    for headers in ({"authorization": "bearer two"}, {"x-api-key": "one"}):
        assert post(server, json=HELLO, headers=headers).status_code == 200
    assert get(server, "/v1/voices").status_code == 401
    for path in ("/health", "/ready", "/metrics", "/", "/openapi.json"):
        assert get(server, path).status_code == 200
    assert post(server, "/admin/reload").status_code == 401
    assert post(server, "/admin/reload", headers={"x-api-key": "one"}).status_code == 401
    answer = post(server, "/admin/reload", headers={"x-api-key": "root"})
    assert answer.status_code == 200 and set(answer.json()["revisions"]) == {"tiny"}


def test_reload_needs_admin_keys_to_be_set(server: Running) -> None:
    assert post(server, "/admin/reload").status_code == 403


def test_overload_is_answered_with_429_and_retry_after(start_server: Start) -> None:
    server = start_server(slots=1, queue=1)
    gate = Gate(server.service)
    held = [server.service.submit(_request()) for _ in range(2)]
    for _ in range(40):
        answer = post(server, json=HELLO)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "OverloadedError"
    assert server.service.active == 2
    assert metric(server, "chattts_requests_total", outcome="overload") == 40
    assert get(server, "/health").status_code == 200
    gate.open()
    assert all(len(list(speech)) > 0 for speech in held)
    until(lambda: server.service.active == 0, "the places are free")
    assert post(server, json=HELLO).status_code == 200


def _request() -> Any:
    from chattts_onnx.serve.requests import SpeechRequest

    return SpeechRequest("hello world", voice=1, seed=1)


def _ask(server: Running, body: dict[str, Any]) -> socket.socket:
    """Send a request by hand; nothing is read."""
    data = json.dumps(body).encode()
    head = (
        "POST /v1/tts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(head.encode() + data)
    return sock


def _leave(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_who_leaves_before_or_while_hearing_frees_the_slot(start_server: Start) -> None:
    server = start_server(slots=2)
    gate = Gate(server.service)
    before, during = _ask(server, HELLO), _ask(server, HELLO)
    until(lambda: sum(server.service.load()["tiny"]) == 2, "both are submitted")
    gate.allow(2)
    _leave(before)
    engine = server.service.variants.find(None).engine
    until(lambda: any(r.cancelled for r in engine._batch.running), "the server noticed")
    gate.allow(1)
    assert server.service.load() == {"tiny": (1, 0)}  # one step later
    gate.allow(25)
    assert during.recv(12) == b"HTTP/1.1 200"
    _leave(during)
    until(lambda: all(r.cancelled for r in engine._batch.running), "the server noticed")
    gate.allow(1)
    assert server.service.load() == {"tiny": (0, 0)}
    until(lambda: server.service.active == 0, "nothing is under way")
    until(
        lambda: metric(server, "chattts_requests_total", outcome="cancelled") == 2, "it is counted"
    )
    gate.open()
    assert post(server, json=HELLO).status_code == 200


def test_an_error_after_the_first_audio_breaks_the_transfer_off(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/tts", json.dumps(HELLO), {"Content-Type": "application/json"})
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it is submitted")
    gate.allow(30)
    answer = connection.getresponse()
    assert answer.status == 200 and len(answer.read(44)) == 44

    def broken(count: int) -> None:
        raise RuntimeError("no memory")

    server.service.variants.find(None).engine._batch.decoder.step = broken  # type: ignore[method-assign,assignment]
    gate.open()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


def test_a_slow_reader_holds_up_nobody(start_server: Start) -> None:
    server = start_server(buffer_seconds=0.3, slots=2, max_chars=100_000)
    slow = _ask(server, {"text": "hello world. " * 3000, "format": "pcm"})
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(5):
        assert len(post(server, json=HELLO).content) == 44 + 2 * SAMPLES
    speeches = server.service._snapshot()
    assert len(speeches) == 1 and speeches[0].buffer.held < 5
    _leave(slow)
    until(lambda: server.service.active == 0, "it is gone")


def test_metrics_tell_slots_queue_first_audio_and_rtf(start_server: Start) -> None:
    server = start_server(slots=1)
    gate = Gate(server.service)
    held = [server.service.submit(_request()) for _ in range(3)]
    until(lambda: sum(server.service.load()["tiny"]) == 3, "all are submitted")
    gate.allow(2)
    assert metric(server, "chattts_slots", variant="tiny") == 1
    assert metric(server, "chattts_slots_active", variant="tiny") == 1
    assert metric(server, "chattts_waiting", variant="tiny") == 2
    assert metric(server, "chattts_queue_depth") == 2
    assert metric(server, "chattts_queue_limit") == 17
    gate.open()
    for speech in held:
        list(speech)
    until(lambda: metric(server, "chattts_requests_total", outcome="ok") == 3, "all are counted")
    assert metric(server, "chattts_first_audio_seconds_count", variant="tiny") == 3
    assert metric(server, "chattts_rtf_count", variant="tiny") == 3
    assert metric(server, "chattts_audio_seconds_total") == pytest.approx(3 * SAMPLES / 8000)
    assert metric(server, "process_resident_memory_bytes") > 0
    assert metric(server, "chattts_queue_depth") == 0


def test_a_lost_device_is_told_to_what_restarts_the_server(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = server.service.variants.find(None).engine._batch.decoder

    def lost(count: int) -> None:
        raise RuntimeError("CUDA failure 719: unspecified launch failure")

    with monkeypatch.context() as gone:
        gone.setattr(decoder, "step", lost)
        for failed in range(3):
            assert get(server, "/health").status_code == 200, failed
            with pytest.raises(httpx.HTTPError):
                post(server, json=HELLO).raise_for_status()
        assert get(server, "/health").status_code == 503
    # What passes is no loss.
    assert post(server, json=HELLO).status_code == 200
    assert get(server, "/health").status_code == 200


def test_health_and_readiness(start_server: Start) -> None:
    server = start_server()
    assert get(server, "/ready").json()["status"] == "ready"
    server.service.stop()
    ready = get(server, "/ready")
    assert ready.status_code == 503 and ready.json()["status"] == "not ready"
    assert get(server, "/health").status_code == 200
    refused = post(server, json=HELLO)
    assert refused.status_code == 503 and "retry-after" in refused.headers


def test_a_reload_drops_no_request(start_server: Start, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(build_steady(tmp_path / "old"))
    server = start_server(bundles={"tiny": link}, admin_keys=("root",))
    gate = Gate(server.service)
    before = _ask(server, {**HELLO, "format": "pcm"})
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it is submitted")
    link.unlink()
    link.symlink_to(build_steady(tmp_path / "new", steps=20))
    answer = post(server, "/admin/reload", headers={"x-api-key": "root"})
    assert answer.status_code == 200
    body = {**HELLO, "format": "pcm"}
    assert len(post(server, json=body).content) == 2 * (2 * 20 - 1) * 64
    gate.open()
    response = http.client.HTTPResponse(before)
    response.begin()
    assert len(response.read()) == 2 * SAMPLES
    before.close()


def test_no_text_of_a_user_is_logged(
    start_server: Start, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server = start_server()
    marker = "hello zzsecretzz"
    get(server, "/v1/tts", params={"text": marker})
    get(server, "/v1/tts", params={"text": marker, "voice": "zzsecretzz"})
    get(server, "/v1/tts", params={"text": marker, "speed": "zzsecretzz"})
    post(server, json={"text": marker, "variant": "zzsecretzz"})
    post(server, "/v1/audio/speech", json={"model": "zzsecretzz", "input": marker, "voice": "a"})
    get(server, "/zzsecretzz")
    files = {"file": ("zzsecretzz.txt", marker.encode())}
    job = post(server, "/v1/batch", files=files).json()["id"]
    until(lambda: get(server, f"/v1/batch/{job}").json()["state"] == "done", "the job is done")
    engine = server.service.variants.find(None).engine

    def broken(count: int) -> None:
        raise RuntimeError(marker)

    engine._batch.decoder.step = broken  # type: ignore[method-assign,assignment]
    assert post(server, json={"text": marker}).status_code == 500
    until(lambda: server.service.active == 0, "all has been logged")
    told = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert len([r for r in told if r.name == "chattts_onnx.serve"]) > 8
    formatted = "\n".join(logging.Formatter().format(record) for record in told)
    out, err = capfd.readouterr()
    assert "zzsecretzz" not in formatted + out + err


def test_an_unforeseen_error_keeps_its_message_out_of_answer_and_log(
    start_server: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()

    marker = "secret".join(("zz", "zz"))

    def broken(*_: object) -> None:
        raise RuntimeError(marker)

    monkeypatch.setattr(server.service, "submit", broken)
    answer = post(server, json={"text": "hello"})
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "RuntimeError"
    until(lambda: "/v1/tts failed" in caplog.text, "it is logged")
    assert "in broken" in caplog.text
    assert marker not in caplog.text + answer.text


def test_texts_are_logged_where_that_is_asked_for(
    start_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start_server(log_texts=True)
    post(server, json={"text": "hello zzsecretzz"})
    until(lambda: "zzsecretzz" in caplog.text, "it is logged")


def test_openapi_describes_every_route_with_examples(server: Running) -> None:
    described = get(server, "/openapi.json").json()
    paths = set(described["paths"])
    assert {"/v1/tts", "/v1/audio/speech", "/v1/batch", "/v1/batch/{id}/result"} <= paths
    assert {"/v1/voices", "/health", "/ready", "/metrics", "/admin/reload"} <= paths
    schemas = described["components"]["schemas"]
    for example in schemas["SpeechBody"]["examples"]:
        answer = post(server, json={**example, "refine": False, "oral": None, "laugh": None})
        assert answer.status_code == 200
    example = {**schemas["OpenAISpeechBody"]["examples"][0]}
    assert post(server, "/v1/audio/speech", json=example).status_code == 200
    assert {"200", "401", "413", "422", "429"} <= set(
        described["paths"]["/v1/tts"]["post"]["responses"]
    )
    assert "HTTPBearer" in described["components"]["securitySchemes"]
    spoken = described["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert {"audio/mpeg", "audio/wav", "text/event-stream"} <= set(spoken)
    assert "application/json" not in spoken
    assert "text/plain" in described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert "404" in described["paths"]["/v1/voices"]["get"]["responses"]
