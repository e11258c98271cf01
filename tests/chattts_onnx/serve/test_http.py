"""Routes on a real socket: answers, mistakes, keys, and the description."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest

from tests.chattts_onnx.serve.clients import (
    HELLO,
    Start,
    expected,
    get,
    post,
)
from tests.chattts_onnx.serve.conftest import (
    HTTP,
    Running,
)


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


def test_variants_and_voices(server: Running) -> None:
    listed = get(server, "/v1/variants").json()
    assert [v["id"] for v in listed["variants"]] == ["tiny", "second"]
    assert listed["variants"][0]["sample_rate"] == 8000 and "wav" in listed["formats"]
    step = listed["variants"][0]["step"]
    assert step["engine"] == "ort" and step["why"]
    found = get(server, "/v1/voices", params={"variant": "second"}).json()
    assert found["voices"] == [{"id": "anna", "kind": "named"}] and found["variant"] == "second"
    answer = post(server, json={**HELLO, "variant": "second", "voice": "anna"})
    assert answer.headers["x-variant"] == "second"


def test_what_the_checkpoint_cannot_do_is_told(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = post(server, json={**HELLO, "speed": 5})
    assert "x-warning" not in plain.headers
    english = {"domain": "Greetings.", "languages": ["en"], "options": ["breaks"]}
    manifest = server.service.variants.find("tiny").bundle.manifest
    monkeypatch.setitem(manifest.checkpoint, "abilities", english)  # type: ignore[arg-type]
    listed = get(server, "/v1/variants").json()["variants"][0]
    assert {name: listed[name] for name in english} == english
    answer = post(server, json={**HELLO, "text": "你好", "speed": 5})
    assert answer.status_code == 200
    assert "not trained on Mandarin" in answer.headers["x-warning"]
    assert "speed has no effect" in answer.headers["x-warning"]


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
