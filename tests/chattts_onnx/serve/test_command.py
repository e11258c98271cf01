"""``chattts-onnx serve`` as a process: signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chattts_onnx.serve.conftest import HTTP, PATIENCE, STEPS, build_steady, until

ROOT = Path(__file__).parents[3]


@contextmanager
def served(*arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "chattts_onnx", "serve", "--port", "0", "--threads", "1"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), process.communicate()[1]
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def test_sigterm_lets_requests_finish_and_sighup_exchanges_bundles(tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(build_steady(tmp_path / "old"))
    with served("-b", f"tiny={link}", CHATTTS_BUFFER_SECONDS="0.1") as (process, port):
        url = f"http://127.0.0.1:{port}"
        first = HTTP.get(f"{url}/ready").json()["variants"]["tiny"]
        link.unlink()
        link.symlink_to(build_steady(tmp_path / "new", note="new"))
        process.send_signal(signal.SIGHUP)
        until(lambda: HTTP.get(f"{url}/ready").json()["variants"]["tiny"] != first, "the exchange")
        # The reader is slow enough to be there when the signal comes: the buffer holds a tenth.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        body = {"text": "hello world. " * 30, "format": "pcm", "seed": 1, "voice": 1}
        connection.request(
            "POST", "/v1/tts", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        head = answer.read(2)
        process.send_signal(signal.SIGTERM)
        rest = answer.read()
        assert len(head + rest) >= 2 * 2 * STEPS * 64  # whole, or IncompleteRead would be raised
        assert process.wait(PATIENCE) == 0
        connection.close()


def test_what_is_not_done_by_the_deadline_is_broken_off(tmp_path: Path) -> None:
    bundle = build_steady(tmp_path / "bundle")
    with served("-b", str(bundle), "--drain-seconds", "0", "--max-chars", "1000000") as (
        process,
        port,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        body = {"text": "hello world. " * 20_000, "format": "pcm"}
        connection.request(
            "POST", "/v1/tts", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        try:
            while answer.read(1 << 16):
                pass
            broken = False
        except (http.client.IncompleteRead, ConnectionError):
            broken = True
        assert broken
        assert process.wait(PATIENCE) == 0


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    bundle = build_steady(tmp_path / "bundle")
    with served("-b", str(bundle)) as (_, port):
        second = subprocess.run(
            [sys.executable, "-m", "chattts_onnx", "serve", "-b", str(bundle), "--port", str(port)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=PATIENCE,
            check=False,
        )
    assert second.returncode == 2 and "cannot listen on" in second.stderr
    assert "Traceback" not in second.stderr


def test_missing_packages_are_named(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('no', name='fastapi')")
    done = subprocess.run(
        [sys.executable, "-m", "chattts_onnx", "serve", "-b", "x", "--port", "0"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": ""},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2 and "Install chattts-onnx[serve]" in done.stderr


def caught(process: subprocess.Popen[str], number: int) -> bool:
    """Whether a process has a handler for a signal."""
    fields = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    (mask,) = [line.split()[1] for line in fields if line.startswith("SigCgt")]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_of_the_start(number: signal.Signals, tmp_path: Path) -> None:
    bundle = build_steady(tmp_path / "bundle")
    with subprocess.Popen(
        [sys.executable, "-m", "chattts_onnx", "serve", "-b", str(bundle), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        until(lambda: caught(process, number), "it has a handler")
        for _ in range(200 if number == signal.SIGHUP else 1):
            process.send_signal(number)
        assert process.stdout is not None
        listens = process.stdout.readline().startswith("listening")
        assert listens == (number == signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "Traceback" not in log
    assert log.count("serving bundle") <= 3


def test_a_server_that_ends_says_so_until_all_is_spoken(tmp_path: Path) -> None:
    bundle = build_steady(tmp_path / "bundle")
    with served("-b", f"tiny={bundle}", CHATTTS_BUFFER_SECONDS="0.1") as (process, port):
        url = f"http://127.0.0.1:{port}"
        body = {"text": "hello world. " * 30, "format": "pcm"}
        with HTTP.stream("POST", f"{url}/v1/tts", json=body) as answer:
            chunks = answer.iter_raw(64)
            next(chunks)
            process.send_signal(signal.SIGTERM)
            until(lambda: HTTP.get(f"{url}/ready").status_code == 503, "it is not ready")
            assert HTTP.post(f"{url}/v1/tts", json=body).status_code == 503
            assert sum(map(len, chunks)) > 2 * STEPS * 64
        assert process.wait(PATIENCE) == 0
