"""``make audit`` says whether nobody could be asked, or there are known holes."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from tools import audit

TRACE = "Traceback (most recent call last):\n  File x\n"


@pytest.mark.parametrize(
    ("status", "told", "ends", "line"),
    [
        (0, "No known vulnerabilities found", 0, "No known vulnerabilities"),
        (1, "Found 2 known vulnerabilities in 1 package", 1, "Found 2 known"),
        (1, TRACE + "requests.exceptions.ConnectionError: pool", 3, "was not reached"),
        (1, TRACE + "pip_audit._service.interface.ServiceError: 403", 3, "was not reached"),
        (1, "ERROR: no such file: requirements/x.txt", 1, "no such file"),
    ],
)
def test_audit(
    status: int,
    told: str,
    ends: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert command[-2:] == ["-r", "lock.txt"] and "--require-hashes" in command
        return SimpleNamespace(returncode=status, stdout=b"", stderr=told.encode())

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main(["-r", "lock.txt"]) == ends
    shown = capsys.readouterr().err
    assert line in shown and ("Traceback" not in shown)
