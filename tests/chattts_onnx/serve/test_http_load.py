"""The application while much is under way: streams, overload, who leaves, health and reload."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.chattts_onnx.serve.clients import (
    HELLO,
    SAMPLES,
    Start,
    ask,
    expected,
    get,
    hello_request,
    leave,
    metric,
    post,
)
from tests.chattts_onnx.serve.conftest import (
    Gate,
    Running,
    build_steady,
    until,
)


def test_audio_comes_while_it_is_made(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    sock = ask(server, {**HELLO, "format": "pcm"})
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


def test_overload_is_answered_with_429_and_retry_after(start_server: Start) -> None:
    server = start_server(slots=1, queue=1)
    gate = Gate(server.service)
    held = [server.service.submit(hello_request()) for _ in range(2)]
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


def test_who_leaves_before_or_while_hearing_frees_the_slot(start_server: Start) -> None:
    server = start_server(slots=2)
    gate = Gate(server.service)
    before, during = ask(server, HELLO), ask(server, HELLO)
    until(lambda: sum(server.service.load()["tiny"]) == 2, "both are submitted")
    gate.allow(2)
    leave(before)
    engine = server.service.variants.find(None).engine
    until(lambda: any(r.cancelled for r in engine._batch.running), "the server noticed")
    gate.allow(1)
    assert server.service.load() == {"tiny": (1, 0)}  # one step later
    gate.allow(25)
    assert during.recv(12) == b"HTTP/1.1 200"
    leave(during)
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
    slow = ask(server, {"text": "hello world. " * 3000, "format": "pcm"})
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(5):
        assert len(post(server, json=HELLO).content) == 44 + 2 * SAMPLES
    speeches = server.service._snapshot()
    assert len(speeches) == 1 and speeches[0].buffer.held < 5
    leave(slow)
    until(lambda: server.service.active == 0, "it is gone")


def test_metrics_tell_slots_queue_first_audio_and_rtf(start_server: Start) -> None:
    server = start_server(slots=1)
    gate = Gate(server.service)
    held = [server.service.submit(hello_request()) for _ in range(3)]
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
    before = ask(server, {**HELLO, "format": "pcm"})
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
