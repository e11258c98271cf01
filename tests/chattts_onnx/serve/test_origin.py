"""Pages of elsewhere, and names that lead here by a trick, are not let in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chattts_onnx.errors import OriginError
from chattts_onnx.serve.origin import Origins, is_loopback
from tests.chattts_onnx.serve.conftest import HTTP, Running


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True),
        ("localhost", True), ("app.localhost", True), ("LOCALHOST", True),
        ("0.0.0.0", False), ("192.168.0.4", False), ("example.org", False),
        ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("", False),
    ],
)  # fmt: skip
def test_what_leads_to_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


OURS = {"host": "127.0.0.1:8000"}
LET_IN = [
    {},
    OURS,
    {"host": "localhost:8000"},
    {"host": "[::1]:8000"},
    OURS | {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
    OURS | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    OURS | {"sec-fetch-site": "none"},
]
REFUSED = [
    {"host": "evil.example:8000"},
    {"host": "127.0.0.1.nip.io:8000"},
    OURS | {"origin": "http://evil.example"},
    OURS | {"origin": "null"},
    OURS | {"origin": "http://127.0.0.1:9000"},
    OURS | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", LET_IN, ids=str)
def test_its_own_pages_and_programs_are_let_in(headers: dict[str, str]) -> None:
    Origins("127.0.0.1", (), ()).check(headers)


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_foreign_pages_and_names_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(OriginError, match=r"allowed_hosts|cors_origins"):
        Origins("127.0.0.1", (), ()).check(headers)
    # What listens to a network has other names than can be known.
    Origins("0.0.0.0", (), ()).check(headers)


def test_what_is_named_is_let_in() -> None:
    named = Origins("0.0.0.0", ("tts.example.org",), ("https://app.example.org",))
    named.check({"host": "tts.example.org", "origin": "https://app.example.org"})
    named.check({"host": "TTS.example.org:443", "origin": "https://tts.example.org:443"})
    with pytest.raises(OriginError):
        named.check({"host": "other.example.org"})
    with pytest.raises(OriginError):
        named.check({"host": "tts.example.org", "origin": "https://other.example.org"})
    Origins("127.0.0.1", (), ("*",)).check({"host": "localhost", "origin": "https://any.example"})


def test_the_server_checks_every_path(server: Running) -> None:
    for path in ("/", "/v1/variants", "/v1/tts?text=hello", "/v1/batch", "/metrics", "/none"):
        answer = HTTP.get(server.url + path, headers={"host": "evil.example"})
        assert answer.status_code == 403, path
        assert answer.json()["error"]["type"] == "OriginError"


def test_pages_that_are_named_may_call(start_server: Callable[..., Running]) -> None:
    page = "http://localhost:3000"
    server = start_server(cors_origins=(page,), api_keys=("secret",))
    asked = {
        "origin": page,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    preflight = HTTP.options(f"{server.url}/v1/tts", headers=asked)
    assert preflight.status_code == 200
    near = {**asked, "Access-Control-Request-Private-Network": "true"}
    allowed = HTTP.options(f"{server.url}/v1/tts", headers=near)
    assert allowed.headers["access-control-allow-private-network"] == "true"
    assert preflight.headers["access-control-allow-origin"] == page
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    headers = {"origin": page, "x-api-key": "secret"}
    answer = HTTP.post(f"{server.url}/v1/tts", json={"text": "hello"}, headers=headers)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == page
    other = HTTP.options(f"{server.url}/v1/tts", headers={**asked, "origin": "http://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_head_is_get_without_a_body(server: Running) -> None:
    for path in ("/", "/health", "/ready", "/v1/models", "/v1/voices", "/page.js"):
        head, get = HTTP.head(server.url + path), HTTP.get(server.url + path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert HTTP.head(f"{server.url}/v1/tts?text=hello").status_code == 405
