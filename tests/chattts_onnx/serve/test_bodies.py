"""Texts in queries and bodies: decoded by what they declare, or refused by name, never spoken."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest

from chattts_onnx.serve.bodies import decoded
from tests.chattts_onnx.serve.conftest import Running

HTTP = httpx.Client(timeout=60)
TEXT = "世界 hello"
FIELDS = {"text": TEXT, "voice": "1", "seed": 3, "max_new_tokens": 8, "format": "pcm"}


def post(server: Running, data: bytes, kind: str | None) -> httpx.Response:
    headers = {} if kind is None else {"Content-Type": kind}
    return HTTP.post(f"{server.url}/v1/tts", content=data, headers=headers)


def body(encoding: str) -> bytes:
    return json.dumps(FIELDS, ensure_ascii=False).encode(encoding)


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "shift_jis", "utf-16", "utf-8-sig"])
def test_a_body_says_its_charset(server: Running, encoding: str) -> None:
    expected = post(server, body("utf-8"), "application/json")
    assert expected.status_code == 200
    kinds = [f"application/json; charset={encoding}", f'text/plain; charset="{encoding.upper()}"']
    marked = encoding in ("utf-16", "utf-8-sig")
    for kind in [*kinds, *(["application/json", None] if marked else [])]:
        assert post(server, body(encoding), kind).content == expected.content
    if not marked:
        answer = post(server, body(encoding), "application/json")
        message = answer.json()["error"]["message"]
        assert answer.status_code == 422 and "the body is not UTF-8 text" in message
        assert "charset=" in message


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_json_is_json_whatever_the_client_calls_it(server: Running, kind: str | None) -> None:
    assert post(server, body("utf-8"), kind).status_code == 200
    assert post(server, b'{"text": ', kind).status_code == 422


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("application/json; charset=klingon", b"{}", "no encoding 'klingon'"),
        ("application/json; charset=base64", b"{}", "no encoding 'base64'"),
        ("application/json", '{"text": "hello"}'.encode("utf-16-le"), "the body holds NUL"),
        ("application/json", b'{"text": "\xc4\xe3"}', "0xC4 at byte 10"),
        ("application/json", b'{"text": "\\ud800"}', "no Unicode text (U+D800"),
        ("application/json", b"", ""),
    ],
)
def test_undecodable_bodies_are_named(
    server: Running, kind: str, data: bytes, message: str
) -> None:
    answer = post(server, data, kind)
    assert answer.status_code == 422 and message in answer.text


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "latin-1", "utf-16"])
@pytest.mark.parametrize("path", ["/v1/tts", "/v1/voices"])
def test_a_query_is_utf_8(server: Running, encoding: str, path: str) -> None:
    text = quote_from_bytes(("ça" if encoding == "latin-1" else "世界").encode(encoding))
    answer = HTTP.get(f"{server.url}{path}?text={text}&max_new_tokens=8")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("the query ")


def test_a_query_of_utf_8_is_spoken(server: Running) -> None:
    answer = HTTP.get(f"{server.url}/v1/tts", params={**FIELDS, "text": "世界 + hello"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/x-www-form-urlencoded", b"text=hello"),
        ("text/plain", b"hello"),
        ("application/json", b'{"text": '),
        ("application/json", b'"hello"'),
        (None, b"hello"),
    ],
)
def test_what_is_no_json_is_told_with_what_it_came_as(
    server: Running, kind: str | None, data: bytes
) -> None:
    answer = post(server, data, kind)
    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert f"Content-Type: {kind or 'none'}" in message
    assert "application/json" in message and "UTF-8" in message and "charset" in message


def test_a_packed_body_is_named(server: Running) -> None:
    packed = gzip.compress(body("utf-8"))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = HTTP.post(f"{server.url}/v1/tts", content=packed, headers=headers)
    message = answer.json()["error"]["message"]
    assert answer.status_code == 422 and "Content-Encoding: 'gzip'" in message


def test_only_what_may_hold_a_text_is_read_before_a_route_does() -> None:
    asked: list[str] = []

    async def receive() -> dict[str, Any]:
        asked.append("body")
        assert len(asked) == 1
        return {"type": "http.request", "body": b"{}"}  # the last of it, unless it says otherwise

    def read(method: str, kind: str) -> dict[str, Any]:
        asked.clear()
        headers = [(b"content-type", kind.encode())]
        scope = {"type": "http", "method": method, "query_string": b"", "headers": headers}

        async def both() -> dict[str, Any]:
            then = await decoded(scope, receive)  # type: ignore[arg-type]
            return dict(await then()) if asked else {}

        return asyncio.run(both())

    assert read("GET", "application/json") == read("POST", "multipart/form-data") == {}
    assert read("POST", "application/json")["body"] == b"{}" and asked == ["body"]
