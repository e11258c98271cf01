"""Clients who take up a connection and give nothing, or take nothing, for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tools.drills.record import Promise
from tools.drills.server.sockets import connections, is_closed, request
from tools.drills.server.target import PATIENCE, TEXT, promised, serving, within

RECEIVE = 2.0
STALL = 2.0
# A scheduler's delays, not the server's.
SLACK = 8.0

HEAD = b"POST /v1/tts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# What silent clients had sent when they fell silent.
BEGINNINGS = (b"", b"\r\n", b"G", HEAD, HEAD + b'Content-Length: 99\r\n\r\n{"text": ')


def half_open(
    bundle: Path, count: int, receive: float = RECEIVE, patience: float = SLACK
) -> Promise:
    """``count`` connections that fall silent before their request is complete, twice as many as
    are served: from outside, a machine that has vanished."""
    options = {"receive-seconds": receive, "max-connections": count // 2}
    with serving(bundle, options) as target, connections(target.port, count) as opened:
        began = time.monotonic()
        for index, sock in enumerate(opened):
            sock.sendall(BEGINNINGS[index % len(BEGINNINGS)])
        left, seconds = _gone(opened, began, receive + patience)
        spoke = target.speaks()
    return promised(
        "A connection that falls silent before its request is complete is closed, and then others "
        "are answered",
        "twice as many silent connections as are served, some after half a head or half a body",
        count,
        "connections",
        left if spoke else count,
        f"{count - left} closed {seconds:.1f} s after they were made (limit {receive:g} s)",
    )


def slowloris(
    bundle: Path, count: int, receive: float = RECEIVE, patience: float = SLACK
) -> Promise:
    """``count`` clients that send a byte now and then, of heads and of bodies, for ever."""
    options = {"receive-seconds": receive, "max-connections": count}
    body = HEAD + b"Content-Length: 1000000\r\n\r\n"
    with serving(bundle, options) as target, connections(target.port, count) as opened:
        began = time.monotonic()
        for sock in opened[::2]:
            sock.sendall(HEAD)
        for sock in opened[1::2]:
            sock.sendall(body)
        left, seconds = _gone(opened, began, receive + patience, b"x")
        spoke = target.speaks()
    return promised(
        "A client that sends its request a byte at a time is let go",
        "slowloris of heads and of bodies on every connection that is served",
        count,
        "connections",
        left if spoke else count,
        f"{count - left} closed {seconds:.1f} s after they were made (limit {receive:g} s)",
    )


def _gone(
    opened: list[socket.socket], began: float, limit: float, drop: bytes = b""
) -> tuple[int, float]:
    """How many connections the server has not closed in time, and after how long the last was;
    each is sent ``drop`` until then."""
    waiting = list(opened)

    def look() -> bool:
        nonlocal waiting
        waiting = [sock for sock in waiting if not is_closed(sock)]
        for sock in waiting if drop else ():
            try:
                sock.send(drop)
            except OSError:
                continue
        return not waiting

    within(limit, look)
    return len(waiting), time.monotonic() - began


def slow_readers(bundle: Path, count: int, others: int) -> Promise:
    """``count`` clients who ask for minutes of speech and read nothing, and ``others`` who read."""
    options = {
        "slots": 4,
        "queue": count + 8,
        "buffer-seconds": 0.5,
        "stall-seconds": STALL,
        "max-chars": 100_000,
    }
    long = request({"text": f"{TEXT}. " * 3000, "format": "pcm"})
    with serving(bundle, options) as target, connections(target.port, count, 4096) as opened:
        before = target.vitals()
        for sock in opened:
            sock.sendall(long)
        heard = sum(target.speaks() for _ in range(others))
        freed = within(PATIENCE, target.is_idle)
        # Each holds the half second that is kept, what the kernel took, and its piece.
        grown = (target.vitals().memory - before.memory) / 1e6
    broken = others - heard + (0 if freed else count)
    return promised(
        "Who asks for speech and does not read it holds up nobody, and is let go",
        f"clients with full receive buffers, and {others} others meanwhile",
        count,
        "slow readers",
        broken,
        f"{heard} of {others} others heard all; all let go after {STALL:g} s without reading; "
        f"{grown:.0f} MB more memory than before",
    )


def leavers(bundle: Path, count: int) -> Promise:
    """``count`` clients who reset their connection at some point of an answer."""
    with serving(bundle, {"slots": 4, "queue": 64}) as target:
        for group in _groups(count, 32):
            with connections(target.port, group) as opened:
                for index, sock in enumerate(opened):
                    sock.sendall(request({"text": f"{TEXT}. " * 20})[: None if index % 4 else 60])
                time.sleep(0.05)
        freed = within(PATIENCE, target.is_idle)
        spoke = target.speaks()
    return promised(
        "Who leaves, before or while the answer comes, leaves nothing behind",
        "connections reset after half a request or during the answer",
        count,
        "connections",
        0 if freed and spoke else count,
        "no request under way afterwards, and speech",
    )


def _groups(count: int, size: int) -> Iterator[int]:
    while count > 0:
        yield min(size, count)
        count -= size
