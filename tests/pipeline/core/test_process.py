"""Processes: their words are kept, their end is certain, and what they started goes with them."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import BenchmarkError, LoadError
from pipeline.core.process import Conversation, Process, answer, own_environment, run

ECHO = "from pipeline.core.process import answer; answer(lambda request: request['call'])"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waited for counts."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            == "Z"
        )
    except OSError:
        return True


def within(condition: Any, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(done)


def test_what_is_printed_is_kept_apart_and_the_code_is_found(tmp_path: Path) -> None:
    code = "import sys, pipeline; print('out'); print('err', file=sys.stderr)"
    with Process(python(code), folder=tmp_path) as process:
        assert process.wait(30) == 0
        assert (process.output, process.errors) == ("out\n", "err\n")
    assert own_environment(3)["OMP_NUM_THREADS"] == "3"


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    with Process(python("print('now', flush=True)"), log=log) as process:
        process.wait(30)
        assert process.output == "now\n"
    assert log.read_text() == "before\nnow\n"


@pytest.mark.parametrize("handler", ["SIG_IGN", "SIG_DFL"])
def test_the_end_takes_along_what_it_started(handler: str) -> None:
    code = f"""
import subprocess, sys, time, signal
signal.signal(signal.SIGTERM, signal.{handler})
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)"""
    with Process(python(code), grace=0.1) as process:
        assert within(lambda: process.output.endswith("\n"))
        child, pid = int(process.output), process.pid
    assert process.status == -(signal.SIGKILL if handler == "SIG_IGN" else signal.SIGTERM)
    assert within(lambda: gone(child)) and gone(pid)


def test_one_that_is_asked_may_end_by_itself() -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("ready", flush=True)
time.sleep(600)"""
    with Process(python(code), grace=30) as process:
        assert within(lambda: process.output)
    assert process.status == 3


def test_run_gives_the_output_or_the_last_words() -> None:
    assert run(python("print(7)"), "seven", LoadError) == "7\n"
    with pytest.raises(LoadError, match=r"it ended with status 1: boom"):
        run(python("import sys; sys.exit('boom')"), "it", LoadError)
    with pytest.raises(LoadError, match=r"it had not ended after 0\.1 s"):
        run(python("import time; time.sleep(60)"), "it", LoadError, limit=0.1)


def test_a_conversation_ends_with_whoever_asks() -> None:
    """Killed without a word, the asker leaves no process that works for nobody."""
    code = f"""
import time
from pipeline.core.process import Conversation
from pipeline.core.errors import BenchmarkError
work = "import time; from pipeline.core.process import answer; answer(lambda _: time.sleep(600))"
talk = Conversation("x", [{sys.executable!r}, "-c", work], BenchmarkError)
print(talk.process.pid, flush=True)
talk.ask({{"call": "sleep"}}, 600)"""
    with Process(python(code)) as asker:
        assert within(lambda: asker.output.endswith("\n"))
        pid = int(asker.output)
        os.kill(asker.pid, signal.SIGKILL)
        assert within(lambda: gone(pid))


def test_answers_and_errors_are_told_apart() -> None:
    with Conversation("echo", python(ECHO), BenchmarkError) as echo:
        assert echo.ask({"call": "a"}, 60) == "a"
        with pytest.raises(BenchmarkError, match=r"echo, open .*: KeyError: 'call'"):
            echo.ask({}, 60)
        assert echo.ask({"call": [1.5]}, 60) == [1.5]


def test_named_errors_leave_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(request: dict[str, Any]) -> None:
        raise LoadError("no") if request["named"] else OSError("yes")

    out = io.StringIO()
    answer(refuse, [json.dumps({"named": True})], out)
    assert capsys.readouterr().err == ""
    answer(refuse, [json.dumps({"named": False})], out)
    assert "Traceback" in capsys.readouterr().err
    errors = [json.loads(line)["error"] for line in out.getvalue().splitlines()]
    assert errors == ["LoadError", "OSError"]
