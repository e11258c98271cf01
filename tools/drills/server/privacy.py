"""Keys that do not fit, and what the log tells of users."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from tools.drills.record import Promise
from tools.drills.server.sockets import exchange
from tools.drills.server.target import PATIENCE, Target, promised, serving, within

KEY = "k3y-of-the-drill"
ADMIN_KEY = "4dmin-of-the-drill"
KEYS = {"CHATTTS_API_KEYS": KEY, "CHATTTS_ADMIN_KEYS": ADMIN_KEY}
MARKER = "zzmarkerzz"
GUARDED = (
    ("GET", "/v1/tts?text=hello"),
    ("POST", "/v1/tts"),
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/models"),
    ("GET", "/v1/voices"),
    ("GET", "/v1/variants"),
    ("GET", "/v1/batch"),
    ("POST", "/v1/batch"),
    ("GET", "/v1/batch/x/result"),
    ("GET", "/%76%31/voices"),
    ("POST", "/admin/reload"),
)


def wrong_keys(bundle: Path, guarded: Sequence[tuple[str, str]] = GUARDED) -> Promise:
    """Every guarded address with everything that is nearly a key."""
    asked = let_in = 0
    with serving(bundle, {}, KEYS) as target:
        for method, path in guarded:
            own = ADMIN_KEY if path.startswith("/admin") else KEY
            other = KEY if own == ADMIN_KEY else ADMIN_KEY
            for headers in [{}, *_wrong(own), *_sent(other)]:
                answer = target.client.request(method, path, headers=headers)
                asked += 1
                let_in += answer.status_code != 401
        right = all(target.client.get("/v1/voices", headers=h).is_success for h in _sent(KEY))
        kept = not any(key in target.process.log for key in (KEY, ADMIN_KEY))
    return promised(
        "Only a whole, exact key opens what needs one",
        "every guarded address with no key, beginnings, endings, "
        "other cases, the other kind's key and odd bytes; that keys are compared in constant time: "
        "`tests/chattts_onnx/serve/test_access.py`",
        asked,
        "requests",
        let_in if right and kept else asked,
        "401 each time; the right key is let in, and no key is in the log",
    )


def _handshake(target: str) -> str:
    """A WebSocket's, after which the client leaves."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )


def _wrong(key: str) -> Iterator[dict[bytes, bytes]]:
    near = [key[:end] for end in range(1, len(key))] + [key[start:] for start in range(1, len(key))]
    near += [key.upper(), key + "x", f"{key},{key}", f"{key}\t{key}", key * 1000, f'"{key}"']
    for text in near:
        yield from _sent(text)
    yield {b"authorization": f"Basic {key}".encode()}
    yield {b"authorization": key.encode()}
    yield {b"authorization": b"Bearer"}
    yield {b"x-api-key": b""}
    yield {b"authorization": b"Bearer \xff\xfe\x80"}
    yield {b"x-api-key": "é".encode() + key.encode()}


def _sent(key: str) -> list[dict[bytes, bytes]]:
    return [{b"authorization": f"Bearer {key}".encode()}, {b"x-api-key": key.encode()}]


def logs(bundle: Path) -> Promise:
    """A marker in every place where users may write, in requests that end well and badly."""
    with serving(bundle, {"receive-seconds": 2, "stall-seconds": 1}) as target:
        count = _tell(target)
        within(PATIENCE, target.is_idle)
        log = target.process.log
    lines = log.splitlines()
    told = sum(MARKER in line for line in lines)
    return promised(
        "The log at its default level holds nothing of what users send",
        "a marker as text, voice, variant, file, field, path, "
        "query, header and damaged request; a failing engine and a failing route: "
        "`tests/chattts_onnx/serve/test_http_logs.py`",
        count,
        "requests",
        told if len(lines) > count // 2 else count,
        f"{len(lines)} lines in the log, {told} with the marker",
    )


def _tell(target: Target) -> int:
    """Say the marker in every way; how many requests that were."""
    text = f"hello {MARKER}"
    tts: list[dict[str, object]] = [
        {"text": text},
        {"text": text, "voice": MARKER},
        {"text": text, "variant": MARKER},
        {"text": text, "format": MARKER},
        {"text": text, "speed": MARKER},
        {"text": text, MARKER: 1},
        {"text": [MARKER]},
        {"text": text * 2000},
        {"text": text, "refine": True},
        {"text": f"{MARKER}\ud800"},
    ]
    kind = {"content-type": "application/json"}
    answers: list[httpx.Response] = []
    ask = target.client
    for body in tts:
        data = json.dumps(body).encode()
        answers.append(ask.post("/v1/tts", content=data, headers=kind))
        if "\ud800" not in str(body.get("text")):
            answers.append(ask.get("/v1/tts", params={k: str(v) for k, v in body.items()}))
    for speech in ({"input": text, "model": MARKER, "voice": "a"}, {"input": MARKER}):
        answers.append(ask.post("/v1/audio/speech", json=speech))
    for name, content in ((f"{MARKER}.txt", text), ("a.csv", f"text,{MARKER}\na,b\n"), ("b", "")):
        answers.append(ask.post("/v1/batch", files={"file": (name, content.encode())}))
    answers.append(ask.post("/v1/batch", data={MARKER: MARKER}))
    answers += [ask.get(f"/{MARKER}"), ask.get(f"/v1/batch/{MARKER}"), ask.put(f"/v1/tts?{MARKER}")]
    answers.append(ask.get("/v1/voices", headers={"x-api-key": MARKER, "user-agent": MARKER}))
    damaged = (
        f"GET /{MARKER} HTTP/9.9\r\n\r\n",
        f"{MARKER} {MARKER}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\n{MARKER}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: {MARKER}\r\nConnection: upgrade\r\n\r\n",
        f"POST /v1/tts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{MARKER}",
        *(_handshake(f"{path}?text={MARKER}&api_key={MARKER}") for path in ("/", "/v1/tts/stream")),
    )
    for request in damaged:
        exchange(target.port, [request.encode()], PATIENCE)
    return len(answers) + len(damaged)
