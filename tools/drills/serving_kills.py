"""One kill of the server while it starts, streams or works on a job, and a start after it."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from pipeline.core.process import Process
from tools.drills.project import DrillError, digest, environment, remove

SERVER = "server"
BUNDLE = Path("bundles/int8")
JOBS = Path(".dvc/tmp/jobs")
_LINES = b"The first train is late.\nThe second train is late.\nThe third train is on time."
_BODY = {"text": "The next train leaves from platform four.", "format": "pcm", "seed": 1}
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_PATIENCE = 600.0


@dataclass(frozen=True)
class Served:
    """What an undisturbed server gave: time from its start to the end of its work, and hashes."""

    seconds: float
    speech: str
    job: str
    bundle: str


def serving_reference(folder: Path) -> Served:
    """Start a server, let it speak and do a job, and stop it."""
    started = time.monotonic()
    with started_server(folder) as address:
        speech, job = speak_and_work(address)
    return Served(time.monotonic() - started, speech, job, str(digest(folder / BUNDLE)))


def serving_round(folder: Path, wanted: Served, draw: Callable[[], float]) -> dict[str, Any]:
    """Kill a server that works at a random moment, look, start another one, and compare."""
    share, broken = draw(), []
    remove(folder / JOBS)
    began = time.monotonic()
    with _process(folder) as process:
        client = threading.Thread(target=_work, args=(process,), daemon=True)
        client.start()
        status = process.wait(share * wanted.seconds)
        if status is not None:
            raise DrillError(f"the server ended by itself with status {status}")
        process.kill()
        client.join(_PATIENCE)
    after = time.monotonic() - began
    jobs = sorted((folder / JOBS).rglob("*")) if (folder / JOBS).is_dir() else []
    broken += [f"{path.name} of a job is cut short" for path in jobs if _cut(path)]
    if digest(folder / BUNDLE) != wanted.bundle:
        broken.append("the bundle is another one after the kill")
    started = time.monotonic()
    with started_server(folder) as address:
        speech, job = speak_and_work(address)
    if speech != wanted.speech:
        broken.append("the server says something else after the kill")
    if job != wanted.job:
        broken.append("a job gives other bytes after the kill")
    return {
        "stage": SERVER,
        "killed_after": round(after, 3),
        "usual_seconds": round(wanted.seconds, 3),
        "in_scratch": [path.suffix for path in jobs],
        "visible": [path.suffix for path in jobs if path.suffix == ".zip"],
        "resumed_in": round(time.monotonic() - started, 3),
        "seconds": round(time.monotonic() - began, 3),
        "broken": broken,
    }


@contextmanager
def _process(folder: Path, extra: Mapping[str, str] | None = None) -> Iterator[Process]:
    command = [sys.executable, "-m", "chattts_onnx", "serve", "-b", str(folder / BUNDLE)]
    command += ["--port", "0", "--jobs-folder", str(folder / JOBS)]
    with Process(command, {**environment(folder), **(extra or {})}, folder) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def started_server(folder: Path, extra: Mapping[str, str] | None = None) -> Iterator[str]:
    """Address of a server that is ready; it is asked to stop at the end, and has to.

    Raises:
        DrillError: it does not start, or does not stop.
    """
    with _process(folder, extra) as process:
        yield _address(process)
        process.ask_to_end()
        if status := process.wait(_PATIENCE):
            raise DrillError(f"the server ended with status {status} when it was asked to stop")


def _address(process: Process) -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.status is None:
        if found := _ADDRESS.search(process.errors + process.output):
            address = f"http://127.0.0.1:{int(found[1])}"
            with suppress(httpx.HTTPError):
                httpx.get(f"{address}/ready", trust_env=False).raise_for_status()
                return address
        time.sleep(0.05)
    raise DrillError(f"the server is not ready: {process.last_words}")


def _work(process: Process) -> None:
    """Keep a server busy until it is gone."""
    with suppress(httpx.HTTPError, DrillError, ValueError):
        speak_and_work(_address(process))


def speak_and_work(address: str) -> tuple[str, str]:
    """Let a server say a sentence and do a job of three lines; sha256 of either."""
    with httpx.Client(base_url=address, timeout=_PATIENCE, trust_env=False) as client:
        speech = client.post("/v1/tts", json=_BODY).raise_for_status().content
        return sha256(speech).hexdigest(), _job(client)


def _job(client: httpx.Client) -> str:
    """sha256 of the names and contents that a job gives."""
    files = {"file": ("lines.txt", _LINES)}
    made = client.post("/v1/batch", data={"seed": "1"}, files=files).raise_for_status()
    job = f"/v1/batch/{made.json()['id']}"
    deadline = time.monotonic() + _PATIENCE
    while client.get(job).json()["state"] != "done":
        if time.monotonic() > deadline:
            raise DrillError("a batch job does not end")
        time.sleep(0.05)
    digests = sha256()
    result = client.get(f"{job}/result").raise_for_status().content
    with zipfile.ZipFile(io.BytesIO(result)) as archive:
        for name in sorted(archive.namelist()):
            digests.update(name.encode() + sha256(archive.read(name)).digest())
    return digests.hexdigest()


def _cut(path: Path) -> bool:
    """Whether an archive under its final name is not whole."""
    return path.suffix == ".zip" and not zipfile.is_zipfile(path)
