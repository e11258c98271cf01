"""No entry asks the network unless told to: each runs where the kernel kills whoever connects."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import no_connections
from tests.chattts_onnx import tiny_bundle
from tests.pipeline.project import files

ROOT = Path(__file__).parents[1]
GENEROUS_SECONDS = 300.0
# What tests, shells and CI set must not hide what the code forgets.
SWITCHES = {
    "ORT_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS",
    "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "RAY_USAGE_STATS_ENABLED",
    # By these ONNX Runtime knows a CI, and is silent there.
    "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL",
    "CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER",
}  # fmt: skip
STAY = "import time; print('up', flush=True); time.sleep(1e6)"
LIBRARY = (
    "from chattts_onnx import open_bundle; bundle = open_bundle('bundle', threads=1); "
    "params = bundle.default_params().but(min_new_tokens=2, max_new_tokens=4); "
    "bundle.say('hello world', 3, params=params, seed=1); "
)
# tritonserver's Python backend gives its models this module.
VOCODER = (
    "import sys, types; sys.modules['triton_python_backend_utils'] = types.ModuleType('stub'); "
    f"sys.path.insert(0, {str(ROOT / 'pipeline/release/triton/model')!r}); import vocoder; "
)
ENTRIES = {
    "the library": LIBRARY,
    "a stage of the pipeline": "import pipeline.export.parity; ",
    "MLflow's record": (
        "import pipeline.tracking.record, mlflow; mlflow.set_tracking_uri('sqlite:///runs.db'); "
        "mlflow.start_run(); mlflow.end_run(); "
    ),
    "the mini checkpoint's recipe": "import mini, onnxruntime; ",
    "the drills": "import tools.drills.numbers; ",
    "Triton's vocoder": VOCODER,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not no_connections.supported(), reason="seccomp: Linux on x86-64 or arm64"),
]


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A process that dies if it, or any child of it, connects."""
    folder.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if k not in SWITCHES}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.no_connections", *command],
        cwd=folder.parent,
        env=environment,
        stdout=subprocess.PIPE,
    )


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle; each process gets a HOME in it."""
    path = tmp_path_factory.mktemp("network")
    tiny_bundle.build(path / "bundle")
    return path


@pytest.fixture
def running(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Every entry, come as far as it comes by itself."""
    processes = {
        name: start([sys.executable, "-c", code + STAY], folder / f"home-{name.replace(' ', '-')}")
        for name, code in ENTRIES.items()
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve = ["-m", "chattts_onnx", "serve", "-b", "bundle", "--port", port, "--threads", "1"]
    processes["the server"] = start([sys.executable, *serve], folder / "home-server")
    for name, process in processes.items():
        assert first_line(process), f"{name} ended with {process.wait()}"
    url = f"http://127.0.0.1:{port}/v1/tts?text=hello+world&seed=1"
    with urllib.request.urlopen(url, timeout=GENEROUS_SECONDS) as answer:
        assert answer.read(4) == b"RIFF"
    yield processes
    for process in processes.values():
        process.kill()
        process.wait()


def test_nothing_connects_and_nothing_is_kept_under_home(
    running: dict[str, subprocess.Popen[bytes]], folder: Path
) -> None:
    """ONNX Runtime alone reports some seconds after its import: the others outlive it."""
    alone = start([sys.executable, "-c", f"import onnxruntime; {STAY}"], folder / "home-alone")
    assert alone.wait(GENEROUS_SECONDS) == -signal.SIGSYS
    assert list((folder / "home-alone").rglob("onnxruntime.db"))
    # As long again for what started a little later than it.
    time.sleep(1)
    assert {name: process.poll() for name, process in running.items()} == dict.fromkeys(running)
    kept = [p for p in folder.glob("home-*/**/*") if "onnxruntime" in p.name.lower()]
    assert all(p.is_relative_to(folder / "home-alone") for p in kept), kept


@pytest.mark.parametrize("name", ["say", "doctor", "verify"])
def test_commands_connect_to_nothing(name: str, folder: Path) -> None:
    arguments = {
        "say": ["hello", "-b", "bundle", "--seed", "1", "-o", "a.wav"],
        "doctor": ["--bundle", "bundle"],
        "verify": ["bundle"],
    }[name]
    command = [sys.executable, "-m", "chattts_onnx", name, *arguments]
    process = start(command, folder / f"home-{name}")
    process.communicate(timeout=GENEROUS_SECONDS)
    assert process.returncode == 0


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.create_connection(('::1', 9))",
        "socket.getaddrinfo('example.org', 80)",
        "os.spawnvp(os.P_NOWAIT, 'true', ['true']); socket.socket(socket.AF_INET, 2)",
    ],
)
def test_the_filter_kills(code: str, folder: Path) -> None:
    process = start([sys.executable, "-c", f"import os, socket; {code}"], folder / "home-filter")
    assert process.wait(GENEROUS_SECONDS) == -signal.SIGSYS


def test_who_imports_onnx_runtime_is_switched_off_before() -> None:
    """In its own first lines, or in those of the package that it lies in."""
    imports = re.compile(r"^\s*(import|from) onnxruntime\b", re.MULTILINE)
    switch = re.compile(r"^import chattts_onnx\b|ORT_DISABLE_TELEMETRY", re.MULTILINE)
    found = [name for name in files("*.py") if not name.startswith("tests/")]
    users = [n for n in found if imports.search((ROOT / n).read_text(encoding="utf-8"))]
    assert len(users) > 20
    for name in users:
        before = imports.split((ROOT / name).read_text(encoding="utf-8"))[0]
        packages = [p / "__init__.py" for p in Path(name).parents]
        texts = [(ROOT / p).read_text(encoding="utf-8") for p in packages if (ROOT / p).is_file()]
        assert any(switch.search(text) for text in [before, *texts]), name


def test_who_wants_to_report_may(folder: Path) -> None:
    code = "import os, chattts_onnx; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout == b"0\n"
