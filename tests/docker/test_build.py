"""Every line of the Dockerfile carried out, and the server that it starts asked for speech."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.dockerfile import Builder, Stage, parse

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker/Dockerfile"
# No step takes as long on any machine.
GENEROUS_SECONDS = 300.0
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dockerfile")]


class LocalBuilder(Builder):
    """What this environment has counts as installed in the build stage: torch takes minutes."""

    def run(self, command: list[str]) -> str:
        printed = super().run(command)
        packages = self.stage.root / "opt/build/lib"
        for folder in packages.glob("python*/site-packages"):
            (folder / "here.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        return printed


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """The Dockerfile with the smoke configuration, carried out."""
    folder = tmp_path_factory.mktemp("docker")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / "context" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = [f"{sys.base_prefix}/bin", "/usr/local/bin", "/usr/bin", "/bin"]
    environment = {
        **kept,
        # dvc, which counts as installed, is a command of this environment.
        "PATH": os.pathsep.join([*path, str(Path(sys.executable).parent)]),
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
    }
    made = LocalBuilder(
        folder / "context", folder / "stages", {"OVERRIDES": "experiment=smoke"}, environment
    )
    made.build(DOCKERFILE)
    return made


@pytest.fixture(scope="module")
def runtime(builder: Builder) -> Stage:
    return builder.stages["runtime"]


def test_every_run_line_was_carried_out(builder: Builder) -> None:
    lines = [entry.value for entry in parse(DOCKERFILE.read_text()) if entry.word == "RUN"]
    assert [line for stage in builder.stages.values() for line in stage.ran] == lines


def test_the_runtime_holds_engine_and_bundle_only(builder: Builder, runtime: Stage) -> None:
    bundle = json.loads((runtime.root / "opt/bundle/manifest.json").read_text())
    assert bundle["variant"] == "int8"
    assert sorted(p.name for p in runtime.root.iterdir()) == ["opt", "tmp"]
    names = {p.name for p in runtime.root.glob("opt/chattts/lib/python*/site-packages/*")}
    assert {"chattts_onnx", "onnxruntime", "fastapi"} <= names
    assert not names & {"torch", "onnx", "dvc", "mlflow", "hydra", "transformers", "matplotlib"}
    assert not list((runtime.root / "tmp").iterdir())
    assert runtime.user == "10001:10001"


def test_no_image_is_taken_by_a_moving_tag(builder: Builder) -> None:
    for stage in builder.stages.values():
        assert stage.base.split(":")[1].count(".") >= 2, stage.base


@pytest.fixture
def server(builder: Builder, runtime: Stage) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The image's command on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runtime.environment.update(CHATTTS_HOST="127.0.0.1", CHATTTS_PORT=str(port))
    environment = builder.variables()
    program = shutil.which(runtime.command[0], path=environment["PATH"])
    assert program is not None and Path(program).is_relative_to(runtime.root)
    process = subprocess.Popen([program, *runtime.command[1:]], cwd=runtime.root, env=environment)
    yield process, port
    process.kill()
    process.wait()


def test_the_command_serves_until_it_is_stopped(
    server: tuple[subprocess.Popen[bytes], int], builder: Builder, runtime: Stage
) -> None:
    process, port = server
    environment = builder.variables()
    check = [shutil.which(runtime.healthcheck[0], path=environment["PATH"]) or ""]
    check += runtime.healthcheck[1:]
    deadline = time.monotonic() + GENEROUS_SECONDS
    while subprocess.run(check, env=environment, stderr=subprocess.DEVNULL).returncode:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    while not _ready(port):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)

    body = json.dumps({"text": "Hello.", "seed": 1}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/tts", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=GENEROUS_SECONDS) as answer:
        assert answer.read()[:4] == b"RIFF"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert "chattts_queue_depth" in answer.read().decode()

    process.send_signal(signal.SIGTERM)
    assert process.wait(GENEROUS_SECONDS) == 0
    assert subprocess.run(check, env=environment, stderr=subprocess.DEVNULL).returncode != 0


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False
