"""The guard alone, with an application that does what a route does: read the body, answer once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.errors import InputError, TooLargeError
from chattts_onnx.serve.guard import Guard
from chattts_onnx.serve.settings import ServeSettings

LIMIT = 100


class Route:
    """Reads the whole body, then answers 200 with its length, or raises."""

    path = "/v1/tts"

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.held = error, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = self
        more = True
        while more:
            message = await receive()
            self.held += len(message.get("body", b""))
            more = message.get("more_body", False)
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.held).encode()})


def guard_of(app: Any, **settings: Any) -> Guard:
    settings = {"max_body_bytes": LIMIT, "max_upload_bytes": 2 * LIMIT} | settings
    return Guard(app, ServeSettings(bundles={"tiny": Path("tiny")}, **settings))


def asked(
    app: Any, pieces: Sequence[bytes] = (b"",), path: str = Route.path, method: str = "POST",
    headers: dict[str, str] | None = None, guard: Guard | None = None, **settings: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """What is sent for a body that comes in ``pieces``."""
    sent: list[dict[str, Any]] = []
    waiting = list(pieces)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": given}
    asyncio.run((guard or guard_of(app, **settings))(scope, receive, send))  # type: ignore[arg-type]
    return sent


def statuses(sent: Sequence[dict[str, Any]]) -> list[int]:
    return [message["status"] for message in sent if message["type"] == "http.response.start"]


@contextlib.contextmanager
def logged(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> Iterator[list[str]]:
    """Lines that the server logs meanwhile, without their times, which are looked at here."""
    lines: list[str] = []
    caplog.clear()
    began = time.monotonic()
    with caplog.at_level(level, "chattts_onnx.serve"):
        yield lines
    for record in caplog.records:
        line, _, seconds = record.getMessage().removesuffix(" s").rpartition(" ")
        if record.levelno < logging.ERROR:
            assert 0 <= float(seconds) <= time.monotonic() - began + 0.001
        lines.append(line if record.levelno < logging.ERROR else record.getMessage())


def test_a_body_without_a_length_is_cut_where_it_grows_past_the_limit() -> None:
    route = Route()
    sent = asked(route, [b"x" * 40] * 1000)
    assert statuses(sent) == [413] and route.held <= LIMIT
    error = json.loads(b"".join(m.get("body", b"") for m in sent))["error"]
    assert error["type"] == "TooLargeError" and str(LIMIT) in error["message"]


@pytest.mark.parametrize("kind", ["", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [Route.path, "/v1/batch", "/v1/batch/"])
def test_a_body_of_just_the_limit_passes_and_one_byte_more_does_not(path: str, kind: str) -> None:
    # Only a form's parts are kept on the disk.
    limit = LIMIT * (2 if "batch" in path and kind else 1)
    headers = {"content-type": kind}
    assert statuses(asked(Route(), [b"x" * limit], path, headers=headers)) == [200]
    assert statuses(asked(Route(), [b"x" * limit, b"x"], path, headers=headers)) == [413]
    for length, status in ((limit, 200), (limit + 1, 413)):
        declared = headers | {"content-length": str(length)}
        assert statuses(asked(Route(), [b"x"], path, headers=declared)) == [status]


def test_bodies_that_are_not_answered_have_a_budget_of_which_each_key_has_its_share() -> None:
    big, piece, keys = 1 << 20, b"x" * (1 << 16), ("one", "two")
    guard = guard_of(Route(), max_body_bytes=big, max_pending_bytes=2 * big, api_keys=keys)
    ends: dict[asyncio.Task[None], asyncio.Event] = {}

    async def start(key: str, pieces: int) -> tuple[asyncio.Task[None], list[int]]:
        """A request that sends so much of its body, and the rest of it at ``ends``."""
        sent: list[int] = []
        left, end = [piece] * pieces, asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not left:
                await end.wait()
            return {
                "type": "http.request",
                "body": left.pop() if left else b"",
                "more_body": not end.is_set(),
            }

        async def send(message: dict[str, Any]) -> None:
            sent.extend([message["status"]] if "status" in message else [])

        scope = {
            "type": "http",
            "method": "POST",
            "path": Route.path,
            "headers": [(b"x-api-key", key.encode())],
        }
        task = asyncio.create_task(guard(scope, receive, send))
        ends[task] = end
        await asyncio.sleep(0.01)
        return task, sent

    async def main() -> None:
        held, first = await start("one", 16)  # its whole share
        _, second = await start("one", 2)
        assert second == [429] and not first
        # A short body has its place, and so has another key's.
        for key, pieces in (("one", 1), ("two", 15)):
            task, sent = await start(key, pieces)
            ends[task].set()
            await task
            assert sent == [200]
        ends[held].set()
        await held
        task, sent = await start("one", 15)
        ends[task].set()
        await task
        assert first == sent == [200] and not any(guard._pending.values())

    asyncio.run(main())


def test_without_keys_one_body_may_take_the_whole_budget() -> None:
    pieces = [b"x" * (1 << 16)] * 4
    settings = {"max_body_bytes": 1 << 18, "max_pending_bytes": 1 << 18}
    assert statuses(asked(Route(), pieces, **settings)) == [200]


@pytest.mark.parametrize(
    ("error", "status"), [(None, 200), (InputError("no"), 422), (OSError("a secret"), 500)]
)
def test_each_request_is_answered_once_and_logged_once(
    error: Exception | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with logged(caplog) as lines:
        assert statuses(asked(Route(error), [b"x"])) == [status]
    assert lines == [f"{Route.path} failed"] * (status == 500) + [f"POST {Route.path} {status}"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_an_application_that_hides_the_error_changes_no_answer(first: bool, last: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def answer() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half"})

        if first:
            await answer()
        with contextlib.suppress(TooLargeError):
            while True:
                await receive()
        if last:
            await answer()

    upload = {"content-type": "multipart/form-data"}  # which is not read before
    sent = asked(app, [b"x" * 60] * 9, headers=upload)
    assert statuses(sent) == ([200] + [200] * last if first else [413])


def test_an_error_behind_the_answer_is_logged_and_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = OSError("a secret")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Route()(scope, receive, send)
        raise error

    with logged(caplog) as lines:
        assert statuses(asked(app)) == [200]
    assert lines == [f"{Route.path} failed", f"POST {Route.path} 200"]
    assert "secret" not in caplog.text


def test_what_asks_all_the_time_is_logged_for_debugging_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for path in ("/health", "/ready", "/metrics"):
        route = Route()
        route.path = path
        for level, count in ((logging.INFO, 0), (logging.DEBUG, 1)):
            with logged(caplog, level) as lines:
                asked(route, path=path, method="GET")
            assert len(lines) == count


def test_a_head_is_a_get_without_its_body_where_nothing_is_spoken() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["method"])
        await Route()(scope, receive, send)

    for path, method in (("/health", "HEAD"), (Route.path, "HEAD"), ("/health", "GET")):
        start, body = asked(app, path=path, method=method)
        assert start["status"] == 200 and bool(body["body"]) == (seen[-1] == method)
    assert seen == ["GET", "HEAD", "GET"]


def test_administration_has_keys_of_its_own() -> None:
    keys = {"admin_keys": ("right",)}
    assert statuses(asked(Route(), path="/admin/reload")) == [200]
    assert statuses(asked(Route(), path="/admin/reload", **keys)) == [401]
    assert statuses(asked(Route(), path="/admin", **keys)) == [200]
    assert statuses(asked(Route(), path="/health", **keys)) == [200]
    right = {"x-api-key": "right"}
    assert statuses(asked(Route(), path="/admin/reload", headers=right, **keys)) == [200]


def test_pages_of_elsewhere_are_refused() -> None:
    assert statuses(asked(Route(), headers={"origin": "http://evil.example"})) == [403]


class Conversation:
    """A WebSocket's application: says what it was given, and stays until ``end``."""

    path = "/v1/tts/stream"
    end: asyncio.Event

    def __init__(self, error: Exception | None = None) -> None:
        self.states: list[dict[str, Any]] = []
        self.error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = self
        self.states.append(scope.get("state", {}))
        await self.end.wait()
        if self.error is not None:
            raise self.error


def talked(guard: Guard, app: Conversation, *headers: dict[str, str]) -> list[int]:
    """Statuses of those that are refused, of conversations that are held at the same time."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def main() -> None:
        app.end = asyncio.Event()
        talks = []
        for given in headers:
            pairs = [(k.encode(), v.encode()) for k, v in given.items()]
            scope = {"type": "websocket", "path": app.path, "headers": pairs, "extensions":
                     {"websocket.http.response": {}}, "state": {"kept": True}}  # fmt: skip
            talks.append(asyncio.create_task(guard(scope, send, send)))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        app.end.set()
        await asyncio.gather(*talks)

    asyncio.run(main())
    return [message["status"] for message in sent if "status" in message]


def test_conversations_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = Conversation()
    guard = guard_of(app, max_connections=2)
    for _ in range(2):  # the places are given back
        with logged(caplog) as lines:
            assert talked(guard, app, {}, {}, {}) == [503]
        assert sorted(lines) == ["WebSocket (no route) 503"] + [f"WebSocket {app.path} 101"] * 2
    assert all(state["kept"] and state["known"] for state in app.states)


def test_a_conversation_that_fails_is_logged_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Conversation(OSError("a secret"))
    guard = guard_of(app, max_connections=1)
    for _ in range(2):
        with logged(caplog) as lines:
            assert talked(guard, app, {}) == []
        assert lines == [f"{app.path} failed", f"WebSocket {app.path} 500"]
    assert "secret" not in caplog.text


def test_a_handshake_is_checked_as_a_request_is() -> None:
    app = Conversation()
    guard = guard_of(app, api_keys=("right",))
    assert talked(guard, app, {"x-api-key": "wrong"}) == [401]
    assert talked(guard, app, {"origin": "http://evil.example"}) == [403]
    assert talked(guard, app, {}, {"x-api-key": "right"}) == []
    assert [state["known"] for state in app.states] == [False, True]
    assert all(state["keys"].owner(None, "right") for state in app.states)


def test_what_is_no_request_is_handed_on() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(guard_of(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
