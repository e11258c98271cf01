"""MLflow that is down, two runs at once, and a GPU that is not there or goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from tools.drills.attempts import Attempts
from tools.drills.loopback import Faults, serving
from tools.drills.outcomes import tested
from tools.drills.project import (
    DrillError,
    call,
    dvc,
    environment,
    forget,
    locked,
    remove,
    stage_command,
    stages,
)
from tools.drills.record import Promise
from tools.drills.reference import Reference, differences, temporary

_USER_ERROR = 2
# MLflow's own limits would keep a stage for hours.
_PATIENCE = 300
_UNREACHABLE = "http://127.0.0.1:9"
_TRACK = [sys.executable, "-m", "pipeline.stages.track"]


def mlflow_down(clone: Path, place: Path) -> Attempts:
    """Stage ``track`` with a server that is away, fails or is silent, and damaged databases."""
    attempts = Attempts(
        "With MLflow down the track stage ends with a named error, in bounded time, and what was "
        "built stays; it records once MLflow is back.",
        "no server, one that answers 500 or never, a database that is a folder or garbage",
        "runs of track",
    )
    failing, silent = Faults(status=500), Faults(silent=True)
    with serving({}, failing) as fails, serving({}, silent) as hangs:
        cases: dict[str, tuple[str, Callable[[Path], object]]] = {
            "no server": (_UNREACHABLE, lambda folder: None),
            "server answers 500": (fails, lambda folder: None),
            "server is silent": (hangs, lambda folder: None),
            "database is a folder": ("sqlite:///mlflow.db", lambda f: (f / "mlflow.db").mkdir()),
            "database is garbage": (
                "sqlite:///mlflow.db",
                lambda folder: (folder / "mlflow.db").write_bytes(b"garbage " * 4096),
            ),
        }
        for case, (uri, prepare) in cases.items():
            _track_place(clone, place, uri)
            prepare(place)
            started = time.monotonic()
            problems = _refusal(clone, place)
            seconds = time.monotonic() - started
            if (place / "build/tracking.json").exists():
                problems.append("a record is claimed")
            remove(place / "mlflow.db")
            _set_uri(place, "sqlite:///mlflow.db")
            if call(clone, _TRACK, place, seconds=_PATIENCE).returncode:
                problems.append("no record afterwards")
            attempts.add(
                f"{case} (ended after {seconds:.0f} s)", [f"{case}: {told}" for told in problems]
            )
    remove(place)
    return attempts


def two_at_once(clone: Path, known: Mapping[str, Reference], names: list[str]) -> Attempts:
    """``dvc repro`` twice at the same time; DVC's lock lets one of them work."""
    attempts = Attempts(
        "Two `dvc repro` at once do not mix: one works, the other waits or is refused, and the "
        "outputs are those of an undisturbed run.",
        "two processes started together",
        "pairs",
    )
    for name in names:
        forget(clone, name, stages(clone)[name])
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", name]
        environ = {**environment(clone), **temporary(clone)}
        pair = [
            subprocess.Popen(command, cwd=clone, env=environ, stdout=-3, stderr=-3)
            for _ in range(2)
        ]
        statuses = sorted(process.wait() for process in pair)
        problems = [f"{name}: {problem}" for problem in differences(clone, known[name])]
        if statuses[0] != 0 and name not in locked(clone):
            problems.append(f"{name}: neither ended well")
        if "Running stage" in dvc(clone, "repro", "--single-item", name):
            problems.append(f"{name}: not up to date afterwards")
        attempts.add("one refused" if statuses[1] else "both ended well", problems)
    return attempts


def two_stages_at_once(
    clone: Path, place: Path, known: Mapping[str, Reference], names: list[str]
) -> Attempts:
    """A stage twice at once without DVC: the lock is that of :mod:`pipeline.core.atomic`."""
    attempts = Attempts(
        "A stage that runs twice at once, without DVC, does not mix its outputs.",
        "two processes started together",
        "pairs",
    )
    for name in names:
        _track_place(clone, place, "sqlite:///mlflow.db")
        for path in known[name].hashes:
            remove(place / path)
        command = stage_command(clone, name)
        pair = [
            subprocess.Popen(
                command, cwd=place, env=environment(clone), stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        said = [process.communicate()[1] for process in pair]
        problems = [f"{name}: {problem}" for problem in differences(place, known[name])]
        for process, text in zip(pair, said, strict=True):
            if process.returncode and "ConcurrencyError" not in text:
                problems.append(f"{name}: status {process.returncode}: {text[-200:]}")
        statuses = sorted(process.returncode for process in pair)
        attempts.add("one refused" if statuses[1] else "both ended well", problems)
    remove(place)
    return attempts


def no_gpu(clone: Path) -> Attempts:
    """Commands that ask for a GPU where none is, or none is left."""
    attempts = Attempts(
        "Without a GPU, asking for one ends with a named error; leaving the choice to the program "
        "speaks on the CPU.",
        "`chattts-onnx say` with --provider cuda, and without, no device visible",
        "commands",
    )
    wanted = {"cuda": _USER_ERROR, None: 0}
    for provider, status in wanted.items():
        command = [sys.executable, "-m", "chattts_onnx", "say", "Hello.", "-b", "bundles/fp32"]
        command += ["-o", os.devnull if provider else ".dvc/tmp/gpu.wav", "--seed", "1"]
        command += ["--max-new-tokens", "16", *(["--provider", provider] if provider else [])]
        done = call(clone, command, extra={"CUDA_VISIBLE_DEVICES": ""})
        problems = []
        if done.returncode != status or "Traceback" in done.stderr:
            problems.append(f"{provider}: status {done.returncode}: {done.stderr.strip()[-200:]}")
        attempts.add(f"{provider or 'no'} provider asked for: status {done.returncode}", problems)
    return attempts


def lost_gpu() -> Promise:
    """A device that fails in the midst of a step, as the driver tells it."""
    return tested(
        "faults",
        "A server that loses its GPU fails what is under way by name, and its health says so to "
        "what restarts it.",
        "tests/chattts_onnx/serve/test_http_load.py",
        "lost_device",
        "the error of a lost device in a step",
        "all hold",
    )


def _track_place(clone: Path, place: Path, uri: str) -> None:
    remove(place)
    place.mkdir(parents=True)
    for name in ("build", "bundles", "reports", "samples"):
        shutil.copytree(clone / name, place / name)
    for name in ("listen.html", "dvc.yaml", "dvc.lock", "params.yaml"):
        shutil.copy(clone / name, place / name)
    for name in ("calibration_data", "checkpoints"):
        (place / name).symlink_to(clone / name)
    remove(place / "build/tracking.json")
    _set_uri(place, uri)


def _set_uri(place: Path, uri: str) -> None:
    path = place / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["tracking"]["uri"] = uri
    path.write_text(yaml.safe_dump(params))


def _refusal(clone: Path, place: Path) -> list[str]:
    """What is wrong with how stage ``track`` ends, which is to name its error."""
    try:
        done = call(clone, _TRACK, place, seconds=_PATIENCE)
    except DrillError as error:
        return [str(error)]
    named = "TrackingError" in done.stderr and "Traceback" not in done.stderr
    return [] if named and done.returncode == _USER_ERROR else [done.stderr.strip()[-300:]]
