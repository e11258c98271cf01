from __future__ import annotations

import asyncio
import errno
import logging
import resource
from typing import Any

import pytest

from chattts_onnx.errors import InputError
from chattts_onnx.serve.files import OWN_FILES, SPARE, LoopErrors, connections_allowed

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "raised"),
    [
        (INFINITE, INFINITE, 512, None),
        (1 << 20, 1 << 20, 512, None),
        (1024, 1 << 20, 512, OWN_FILES + 512 * SPARE),
        (1024, INFINITE, 512, OWN_FILES + 512 * SPARE),
        (1024, 1024, (1024 - OWN_FILES) // SPARE, 1024),
        (256, 512, (512 - OWN_FILES) // SPARE, 512),
    ],
)
def test_connections_follow_the_limit_of_open_files(
    soft: int,
    hard: int,
    allowed: int,
    raised: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    with caplog.at_level(logging.WARNING):
        assert connections_allowed(512) == allowed
    assert limits == ([] if raised is None else [(raised, hard)])
    assert (f"{allowed} connections" in caplog.text) == (allowed < 512)


def test_too_few_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(InputError, match="ulimit -n"):
        connections_allowed(512)


def test_connections_that_cannot_be_accepted_are_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.new_event_loop()
    handed: list[dict[str, Any]] = []
    monkeypatch.setattr(loop, "default_exception_handler", handed.append)
    handle = LoopErrors()
    full = {"message": "accept", "exception": OSError(errno.EMFILE, "too many"), "socket": None}
    for _ in range(1000):
        handle(loop, full)
    assert len(caplog.records) == 1 and "too many" in caplog.text
    handle(loop, {"message": "another fault", "exception": ValueError("x")})
    assert [context["message"] for context in handed] == ["another fault"]
    loop.close()
