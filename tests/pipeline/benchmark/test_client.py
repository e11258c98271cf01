from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.benchmark.client import COMMAND, Worker
from pipeline.benchmark.engine import EngineSpec, Timing
from pipeline.benchmark.worker import Server
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import answer, own_environment


def spec(path: Path | str, kind: str = "bundle") -> EngineSpec:
    return EngineSpec("int8", kind, str(path), threads=1, seed=1)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_real_worker_measures_and_ends(bundle_folder: Path) -> None:
    with Worker(spec(bundle_folder), timeout=60) as worker:
        assert worker.description["provider"] == "CPUExecutionProvider"
        timing = worker.measure("decode", {"batch": 1, "length": 10, "steps": 3})
        assert timing.steps == 3
        assert 0 < timing.seconds < 30
        memory = worker.peak_memory()
        assert 2e7 < memory < 2e9
        process = worker.process
    assert process.status == 0


def test_a_bundle_worker_never_loads_torch(bundle_folder: Path) -> None:
    code = (
        "import sys; from pipeline.benchmark.worker import Server; from io import StringIO;"
        "from pipeline.core.process import answer;"
        "answer(Server(), sys.stdin, out := StringIO()); assert 'result' in out.getvalue(), out;"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    request = json.dumps({"open": spec(bundle_folder).as_dict()}) + "\n"
    done = subprocess.run(
        python(code), input=request, text=True, capture_output=True, env=own_environment(1)
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_bundle_is_named() -> None:
    with (
        pytest.raises(BenchmarkError, match=r"engine int8, open .*BundleError: nowhere") as caught,
        Worker(spec("nowhere"), timeout=60),
    ):
        pass
    assert "Traceback" not in str(caught.value)


def test_a_dead_worker_shows_its_last_words() -> None:
    command = python(
        "import sys; sys.stdin.readline(); print('boom', file=sys.stderr); sys.exit(3)"
    )
    with (
        pytest.raises(BenchmarkError, match=r"(?s)its process ended.*boom"),
        Worker(spec("x"), timeout=60, command=command),
    ):
        pass


def test_a_silent_worker_is_given_up() -> None:
    started = time.monotonic()
    with (
        pytest.raises(BenchmarkError, match=r"no answer within 0\.2 s"),
        Worker(spec("x"), timeout=0.2, command=python("import time; time.sleep(60)")),
    ):
        pass
    assert time.monotonic() - started < 20


def test_prints_of_a_library_do_not_break_the_protocol(bundle_folder: Path) -> None:
    code = (
        "import os, pipeline.benchmark.worker as w; from pipeline.core.process import answer\n"
        "def noisy(spec):\n    print('hello'); os.system('echo child')\n"
        "    return w.open_engine(spec)\n"
        "answer(w.Server(noisy))"
    )
    with Worker(spec(bundle_folder), timeout=60, command=python(code)) as worker:
        assert worker.description["threads"] == 1


class Fake:
    def describe(self) -> dict[str, Any]:
        return {"size_bytes": 5}

    def peak_memory(self) -> int:
        return 7

    def prefill(self, batch: int, tokens: int) -> Timing:
        return Timing(batch + tokens)


def answers(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    out = io.StringIO()
    opener: Any = lambda spec: Fake()  # noqa: E731
    answer(Server(opener), [json.dumps(request) for request in requests], out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_requests_and_answers() -> None:
    opened, timed, memory = answers(
        {"open": spec("x").as_dict()},
        {"call": "prefill", "arguments": {"batch": 2, "tokens": 3}},
        {"call": "peak_memory"},
    )
    assert opened == {"result": {"size_bytes": 5}}
    assert timed["result"]["seconds"] == 5
    assert memory["result"] == 7


@pytest.mark.parametrize("call", ["prefill", "__init__", "describe"])
def test_only_measurements_of_an_open_engine_are_called(call: str) -> None:
    (answer,) = answers({"call": call, "arguments": {}})
    assert answer["error"] == "ValueError"
    if call != "prefill":
        assert answers({"open": spec("x").as_dict()}, {"call": call})[1]["error"] == "ValueError"


def test_the_worker_finds_the_code_from_any_folder(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert COMMAND[1:] == ("-m", "pipeline.benchmark.worker")
    with Worker(spec(bundle_folder), timeout=60) as worker:
        assert worker.description["size_bytes"] > 0
