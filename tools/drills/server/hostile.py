"""Malformed and huge requests."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chattts_onnx.speech.options import OPTIONS
from tools.drills.record import Promise
from tools.drills.server.connections import RECEIVE, SLACK
from tools.drills.server.sockets import exchange, request
from tools.drills.server.target import PATIENCE, TEXT, Target, promised, serving, within

CLIENTS = 32
# Stands for a connection that is neither answered nor closed.
SILENT = 599
MEBI = 1 << 20
# Twice the largest body that is taken, and what holding two of them would show.
FLOOD = 32 * MEBI
ALLOWED_BYTES = 48e6

GET = b"GET /v1/tts?text=hello+world&format=pcm HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = request({"text": TEXT, "format": "pcm", "seed": 1})
UPLOAD = (
    b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 101\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\nhello\n'
    b"\r\n--b--\r\n      "
)
ODD_VALUES: tuple[object, ...] = (
    None, True, -1, 10**30, 1.5, float("nan"), float("inf"), "", "\x00", "\ud800", "../../etc",
    [], [[]], {}, {"a": {"b": []}}, "9" * 400, "x" * 9000, "你好" * 100, ["text"] * 100,
)  # fmt: skip
FIELDS = ("text", "voice", "variant", "format", *(o.shown for o in OPTIONS.values()), "\ud800")


def malformed(bundle: Path, count: int) -> Promise:
    """``count`` requests that are damaged at random, or well-formed with values that are not."""
    draw = random.Random(0)
    damaged = [_damaged(draw) for _ in range(count)]
    options = {"receive-seconds": RECEIVE, "max-new-tokens": 12, "slots": 8, "queue": 64}
    with serving(bundle, options) as target:
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda data: _status(target, [data]), damaged))
        wrong = sum(status is not None and status >= 500 for status in answers)
        if not target.speaks() or "Traceback" in target.process.log:
            wrong = count
    refused = sum(status is not None and 400 <= status < 500 for status in answers)
    return promised(
        "A malformed request is refused (4xx) or its connection closed; the server goes on",
        "requests with bytes changed, cut, doubled or inserted, "
        "and JSON with values of wrong kinds and sizes",
        count,
        "requests",
        wrong,
        f"{refused:,} refused, {answers.count(200):,} still meant something, "
        f"{answers.count(None):,} closed; no 5xx, no traceback",
    )


def _damaged(draw: random.Random) -> bytes:
    if draw.random() < 0.4:
        body: dict[str, object] = {"text": TEXT, "format": "pcm"}
        for _ in range(draw.randint(1, 3)):
            body[draw.choice(FIELDS)] = draw.choice(ODD_VALUES)
        path = draw.choice(("/v1/tts", "/v1/audio/speech", "/v1/batch", "/admin/reload"))
        return request(body, path)
    data = bytearray(draw.choice((GET, POST, UPLOAD)))
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            del data[at : at + draw.randint(1, 20)]
        elif kind == 2:
            data[at:at] = data[at : at + draw.randint(1, 40)]
        else:
            data[at:at] = draw.choice((b"\r\n", b"\x00", b"%00", b"%ff", b": ", b"\r\n\r\n"))
    return bytes(data)


def _status(target: Target, pieces: Iterable[bytes]) -> int | None:
    try:
        return exchange(target.port, pieces, RECEIVE + SLACK)
    except TimeoutError:
        return SILENT


def huge(bundle: Path) -> Promise:
    """Requests that would take much memory or time if they were believed."""
    with serving(bundle, {"receive-seconds": RECEIVE}) as target:
        target.speaks()
        before = target.vitals()
        answers = {name: _status(target, pieces) for name, pieces in _huge().items()}
        within(PATIENCE, target.is_idle)
        grown = target.vitals().memory - before.memory
        peak = max(memory for _, memory, _ in target.process.samples) - before.memory
        spoke = target.speaks()
        logged = "Traceback" in target.process.log
    wrong = {
        name: status
        for name, status in answers.items()
        if status is not None and not 400 <= status < 500
    }
    fine = spoke and not logged and peak <= ALLOWED_BYTES
    return promised(
        "A huge request is refused before it takes memory or time",
        "endless bodies, heads, fields and parts, lengths of 30 digits, JSON 100,000 deep",
        len(answers),
        "requests",
        len(wrong) if fine else len(answers),
        f"refused or closed: {', '.join(answers)}; at most {peak / 1e6:.0f} MB more memory, "
        f"{grown / 1e6:.0f} MB afterwards"
        if not wrong
        else f"wrong: {wrong}",
    )


def _huge() -> dict[str, Iterable[bytes]]:
    start = b"POST /v1/tts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    batch = (
        b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
    )
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="x%d"\r\n\r\n%s\r\n'
    deep = b'{"text":' + b"[" * 100_000
    digits = b'{"text": "a", "seed": ' + b"9" * 100_000 + b"}"
    fields = json.dumps({"text": "a"} | {f"x{i}": 1 for i in range(50_000)}).encode()
    return {
        "a length of 10^12": [start + b"Content-Length: 1000000000000\r\n\r\n{"],
        "a length of 30 digits": [start + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{"],
        "a negative length": [start + b"Content-Length: -1\r\n\r\n{"],
        "an endless body": [start + chunked, *_chunks(b"x" * MEBI)],
        "an endless text": [start + chunked, *_chunks(b'{"text": "' + b"x" * MEBI)],
        "an endless field of a form": [
            batch + chunked, *_chunks(part % (0, b"x" * 1000) + b"x" * MEBI)
        ],
        "a chunk of 2^60 bytes": [start + chunked + b"1000000000000000\r\nx"],
        "an endless head": [start, *([b"X: " + b"y" * 65_000 + b"\r\n"] * 64)],
        "endless heads": [start, *([b"X: y\r\n" * 10_000] * 32)],
        "an endless address": [b"GET /v1/tts?text=", *([b"x" * 65_000] * 64)],
        "JSON 100,000 deep": [_sized(start, deep)],
        "a number of 100,000 digits": [_sized(start, digits)],
        "50,000 unknown fields": [_sized(start, fields)],
        "10,000 parts": [_sized(batch, b"".join(part % (i, b"x") for i in range(10_000)))],
    }  # fmt: skip


def _chunks(first: bytes) -> Iterator[bytes]:
    """``first`` and then its last byte until :data:`FLOOD` bytes have been sent, in HTTP chunks."""
    yield b"%x\r\n%s\r\n" % (len(first), first)
    more = first[-1:] * MEBI
    for _ in range(FLOOD // MEBI):
        yield b"%x\r\n%s\r\n" % (len(more), more)


def _sized(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
