"""The guard alone, with an application that does what a route does: read the body, answer once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.errors import InputError
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


def asked(
    route: Route, pieces: Sequence[bytes], path: str = Route.path, declared: int | None = None,
    kind: str = "",
) -> list[dict[str, Any]]:  # fmt: skip
    """What is sent for a body that comes in ``pieces``."""
    sent: list[dict[str, Any]] = []
    waiting = list(pieces)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    headers.append((b"content-type", kind.encode()))
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    settings = ServeSettings(
        bundles={"tiny": Path("tiny")}, max_body_bytes=LIMIT, max_upload_bytes=2 * LIMIT
    )
    asyncio.run(Guard(route, settings)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def statuses(sent: Sequence[dict[str, Any]]) -> list[int]:
    return [message["status"] for message in sent if message["type"] == "http.response.start"]


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
    assert statuses(asked(Route(), [b"x" * limit], path, kind=kind)) == [200]
    assert statuses(asked(Route(), [b"x" * limit, b"x"], path, kind=kind)) == [413]
    assert statuses(asked(Route(), [b"x"], path, declared=limit + 1, kind=kind)) == [413]


def test_bodies_that_are_not_answered_have_a_budget_of_which_each_key_has_its_share() -> None:
    big, piece, keys = 1 << 20, b"x" * (1 << 16), ("one", "two")
    settings = ServeSettings(
        bundles={"tiny": Path("tiny")}, max_body_bytes=big, max_pending_bytes=2 * big, api_keys=keys
    )
    guard = Guard(Route(), settings)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(
    ("error", "status"), [(None, 200), (InputError("no"), 422), (OSError("a secret"), 500)]
)
def test_each_request_is_answered_once_and_logged_once(
    error: Exception | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "chattts_onnx.serve"):
        assert statuses(asked(Route(error), [b"x"])) == [status]
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("POST")]
    assert len(lines) == 1 and lines[0].startswith(f"POST {Route.path} {status} ")
    assert "secret" not in caplog.text
