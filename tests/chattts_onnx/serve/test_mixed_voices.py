"""Mixes of voices over HTTP, where a plus in a query is a space."""

from __future__ import annotations

import httpx

from tests.chattts_onnx.serve.conftest import Running


def test_over_http(server: Running) -> None:
    wanted = {"text": "hello", "seed": 3, "max_new_tokens": 8, "format": "pcm"}

    def spoken(**values: object) -> bytes:
        answer = httpx.post(f"{server.url}/v1/tts", json={**wanted, **values}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content

    mixed = spoken(voice="anna(2)+7(1)")
    assert mixed == spoken(voice="anna(2) 7(1)") != spoken(voice="anna")
    bad = httpx.post(f"{server.url}/v1/tts", json={**wanted, "voice": "anna(2)+/etc/passwd(1)"})
    assert bad.status_code == 404 or bad.status_code == 422
    body = {"model": "tts-1", "input": "hello", "voice": "alloy(1)+nova(1)"}
    assert httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).status_code == 200
