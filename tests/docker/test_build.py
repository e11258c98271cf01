"""Every line of the Dockerfile carried out, and the server that it starts asked for speech."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml

from tests.docker.dockerfile import Builder, Ignore, Stage, parse, sent
from tests.pipeline.project import files

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker/Dockerfile"
# No step takes as long on any machine.
GENEROUS_SECONDS = 300.0
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dockerfile")]


class LocalBuilder(Builder):
    """What the build stage's locks name counts as installed where it is here: torch takes minutes.

    Nothing else does: a package that the locks lack is not there, as it would not be in the image.
    """

    def run(self, command: list[str]) -> str:
        printed = super().run(command)
        if self.stage.root.name != "tools":
            return printed
        for folder in (self.stage.root / "opt/build/lib").glob("python*/site-packages"):
            if not (folder / "here.pth").exists():
                _link_locked(self.folder / "locked")
                (folder / "here.pth").write_text(f"{self.folder / 'locked'}\n")
                dvc = self.stage.root / "opt/build/bin/dvc"
                dvc.write_text('#!/bin/sh\nexec python -m dvc "$@"\n')
                dvc.chmod(0o755)
        return printed


def _link_locked(folder: Path) -> None:
    """The packages of the build stage's locks that are installed here, by links."""
    folder.mkdir()
    lock = re.compile(r"^([A-Za-z0-9][\w.-]*)==", re.MULTILINE)
    for name in ("build", "pipeline", "cpu", "torch"):
        text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
        for package in lock.findall(text):
            try:
                listed = distribution(package).files or ()
            except PackageNotFoundError:
                continue  # of another platform; what is missed is an ImportError
            for top in {path.parts[0] for path in listed if path.parts[0] not in ("..", "")}:
                link, real = folder / top, Path(sysconfig.get_paths()["purelib"]) / top
                if real.exists() and not link.exists():
                    link.symlink_to(real)


def _python(folder: Path) -> Path:
    """A folder with `python`, as the base has it: Debian has `python3` only."""
    folder.mkdir()
    found = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(found))} "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """The Dockerfile with the smoke configuration, carried out on this working tree."""
    folder = tmp_path_factory.mktemp("docker")
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = [
        str(_python(folder / "bin")),
        f"{sys.base_prefix}/bin",
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    ]
    environment = {
        **kept,
        "PATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
    }
    arguments = {"OVERRIDES": "experiment=smoke", "REVISION": "abc", "VERSION": "0.1.0"}
    made = LocalBuilder(ROOT, folder / "stages", arguments, environment)
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


def test_every_base_is_an_exact_version_and_a_digest(builder: Builder) -> None:
    for stage in builder.stages.values():
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-[\w-]+@sha256:[0-9a-f]{64}", stage.base)


def test_the_image_says_what_it_is_made_from(runtime: Stage) -> None:
    given = {k.removeprefix("org.opencontainers.image."): v for k, v in runtime.labels.items()}
    assert given["revision"] == "abc" and given["version"] == "0.1.0"
    assert "int8" in given["description"]


def test_the_builder_gets_sources_only() -> None:
    """Of this working tree as it is, with all that the pipeline and tools have left in it."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git here, which knows the sources")
    found = [path.relative_to(ROOT) for path in sent(ROOT)]
    # What git would take, if it has not yet: all but what it ignores.
    assert {path.as_posix() for path in found} <= set(files("*"))
    assert sum((ROOT / path).stat().st_size for path in found) < 100e6


def test_nothing_that_a_run_leaves_behind_is_sent(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    made = [
        (next(iter(out)) if isinstance(out, dict) else out).replace("${key}", "int8")
        for s in stages
        for out in s.get("do", s)["outs"]
    ]
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    made += [line.strip("/").replace("*", "x") for line in patterns if line[:1] not in ("#", "")]
    made += [".dvc/cache", ".dvc/tmp", ".git", "deploy/cpu/keys.env", "conf/__pycache__", "reports"]
    assert {"bundles/int8", "listen.html", ".venv"} <= set(made)
    for name in made:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    assert [p.relative_to(tmp_path).as_posix() for p in sent(tmp_path)] == ["pipeline/__init__.py"]


@pytest.mark.parametrize(
    ("lines", "kept", "left_out"),
    [
        ("*\n!a", ["a", "a/b/c"], ["b", "ab", "c/a"]),
        ("*\n!.dvc/config", [".dvc/config"], [".dvc/cache/x", "config"]),
        ("a\n**/x", ["b/a", "ax"], ["a/b", "x", "b/c/x/d"]),
        ("*.db*", ["d/m.db"], ["m.db", "m.db-wal"]),
        ("# a\n*\n!a\na/b*", ["a/c"], ["a/b1/c", "d"]),
    ],
)
def test_patterns_are_those_of_docker(
    tmp_path: Path, lines: str, kept: list[str], left_out: list[str]
) -> None:
    (tmp_path / ".dockerignore").write_text(lines)
    keeps = Ignore.of(tmp_path).keeps
    assert [keeps(path) for path in kept + left_out] == [True] * len(kept) + [False] * len(left_out)


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
