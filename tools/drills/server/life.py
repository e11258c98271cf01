"""A server's life: signals at any moment, kills, and bundles that are exchanged under it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tools.drills.outcomes import tested
from tools.drills.record import Promise
from tools.drills.server.target import PATIENCE, TEXT, build_bundle, promised, serving, within

_HANGUPS = 200


@contextmanager
def _process(bundle: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "chattts_onnx", "serve", "-b", f"tiny={bundle}", "--port", "0"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        process.log = log  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            process.kill()


def _handles(process: subprocess.Popen[str], number: int) -> bool:
    """Whether a process has a handler for a signal; before, the interpreter itself is starting."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def signals(bundle: Path, rounds: int, seed: int = 1) -> Promise:
    """Start a server and signal it at a random moment: 200 SIGHUPs, or one SIGTERM."""
    draw = random.Random(seed)
    broken, exchanges = 0, []
    for number in range(rounds):
        hangs_up = number % 2 == 0
        with _process(bundle) as process:
            within(PATIENCE, lambda: _handles(process, signal.SIGHUP))
            time.sleep(draw.uniform(0, 2))
            for _ in range(_HANGUPS if hangs_up else 1):
                process.send_signal(signal.SIGHUP if hangs_up else signal.SIGTERM)
            if hangs_up:
                assert process.stdout is not None
                line = process.stdout.readline()
                spoke = (
                    line.startswith("listening")
                    and httpx.post(
                        f"{line.split()[-1]}/v1/tts", json={"text": TEXT}, timeout=PATIENCE
                    ).is_success
                )
                broken += not spoke
                process.terminate()
            ended = process.wait(PATIENCE)
            log = process.log  # type: ignore[attr-defined]
            log.seek(0)
            said = log.read()
        broken += ended != 0 or "Traceback" in said
        exchanges.append(said.count("serving bundle") - 1 if hangs_up else 0)
    return promised(
        "Signals do the right thing once, at any moment after the program has begun: SIGHUP "
        "exchanges the bundles as soon as they are open, SIGTERM ends with status 0",
        f"{_HANGUPS} SIGHUPs, or a SIGTERM, at a random moment of the first two seconds",
        rounds,
        "starts",
        broken,
        f"{_HANGUPS} SIGHUPs led to {max(exchanges)} exchanges at most (before: 200, or the end "
        "where they came before it listened)",
    )


def left_behind(bundle: Path, rounds: int) -> Promise:
    """Kill a server in the midst of a job and start another one over the same folder."""
    broken, found = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(rounds):
            with serving(bundle, {"jobs-folder": folder}) as target:
                files = {"file": ("a.txt", f"{TEXT}\n".encode() * 2000)}
                id = target.client.post("/v1/batch", files=files).json()["id"]
                within(PATIENCE, lambda: bool(list((folder / id).rglob("*.wav"))))  # noqa: B023
                psutil.Process(target.process.pid).kill()
            found += len(list(folder.rglob("*.wav")))
            # What is younger than a minute may belong to a server that is just starting.
            for left in folder.iterdir():
                os.utime(left, (0, 0))
            with serving(bundle, {"jobs-folder": folder}) as target:
                answer = target.client.get(f"/v1/batch/{id}").json()
                named = answer["error"]["type"] == "LostJobError"
                broken += not named or not target.speaks() or any(folder.iterdir())
    return promised(
        "What a job of a killed server had made is removed by the next one",
        "SIGKILL in the midst of a job, the folder then a minute old",
        rounds,
        "kills",
        broken,
        f"{found} files of audio were left, and removed (before: kept for ever)",
    )


def exchanged(bundle: Path, rounds: int) -> Promise:
    """Replace a bundle as the documentation says while requests run; the old folder is removed."""
    failed = asked = 0
    over = threading.Event()
    with tempfile.TemporaryDirectory() as name:
        link = Path(name) / "current"
        link.symlink_to(Path(shutil.copytree(bundle, Path(name) / "0")))
        with serving(link, {"slots": 4}) as target:

            def ask() -> None:
                nonlocal failed, asked
                while not over.is_set():
                    asked += 1
                    failed += not target.speak(f"{TEXT}. " * 20).is_success

            askers = [threading.Thread(target=ask) for _ in range(2)]
            for asker in askers:
                asker.start()
            for number in range(1, rounds + 1):
                fresh = build_bundle(Path(name) / str(number), 12 + number)
                (link.parent / "next").symlink_to(fresh)
                before = target.state()["variants"]
                (link.parent / "next").replace(link)
                os.kill(target.process.pid, signal.SIGHUP)
                if not within(PATIENCE, lambda: target.state()["variants"] != before):  # noqa: B023
                    failed += 1
                shutil.rmtree(Path(name) / str(number - 1))
            over.set()
            for asker in askers:
                asker.join()
    return promised(
        "A bundle that is replaced by a link to another folder, the old one then removed, costs no "
        "request",
        "exchanges under two clients without a pause",
        rounds,
        "exchanges",
        failed,
        f"{asked} requests were answered meanwhile; writing into the folder in place instead may "
        "end the process, since graphs are mapped",
    )


def verified() -> Promise:
    """Graphs that change between the opening of their bundle and their own."""
    return tested(
        "server",
        "A graph is verified when it is opened, however long after its bundle",
        "tests/chattts_onnx/format/test_manifest.py",
        "verified or gone",
        "a graph or its weights written over, or replaced, after the bundle was opened",
        "refused by name (before: loaded)",
    )
