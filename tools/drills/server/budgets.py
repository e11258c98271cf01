"""Clients who take more than their part: unfinished uploads, idle connections, many jobs.

What was "before" is what the same drills found of commit 6e5b1bf.
"""

from __future__ import annotations

import contextlib
import io
import resource
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tools.drills.record import Promise
from tools.drills.server.sockets import connections
from tools.drills.server.target import PATIENCE, TEXT, Target, promised, serving, within

UPLOAD = 16 << 20
# The server's own budget, and as much again for what it makes of it.
PENDING = 64 << 20
ALLOWED = 2 * PENDING
KEYS = ("first", "second")
_FORM = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'


def uploads(bundle: Path, count: int, size: int = UPLOAD, allowed: int = ALLOWED) -> Promise:
    """``count`` bodies that lack their last byte, half of them forms, half anything."""
    head = "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n"
    head += "Content-Type: {}\r\n\r\n"
    kinds = ("multipart/form-data; boundary=cut", "text/plain")
    with serving(bundle, {"receive-seconds": PATIENCE}) as target:
        target.speaks()
        before = target.vitals().memory
        with connections(target.port, count) as opened:
            for index, sock in enumerate(opened):
                kind = kinds[index % 2]
                sock.settimeout(PATIENCE)
                with contextlib.suppress(OSError):  # it may refuse before it has heard everything
                    sock.sendall(head.format(size, kind).encode() + _FORM)
                    sock.sendall(b"x" * (size - len(_FORM) - 1))
            grown = target.vitals().memory - before
            spoke = target.speaks()
        freed = within(PATIENCE, target.is_idle)
    return promised(
        "Uploads that are never finished hold a bounded memory, and others are heard meanwhile",
        f"bodies of {size >> 20} MiB for `/v1/batch` without their last byte, forms and others",
        count,
        "uploads",
        0 if grown <= allowed and spoke and freed else count,
        f"{grown / 1e6:.0f} MB more memory (before: 562 MB for 100)",
    )


def idle(bundle: Path, count: int, files: int = 1024, sentences: int = 800) -> Promise:
    """``count`` idle connections to a server that may open fewer files, beside a stream."""
    options = {"max-chars": 100_000, "max-connections": 4096}
    with _files(count + 256), serving(bundle, options, files=files) as target:
        text = f"{TEXT}. " * sentences
        alone = _seconds(target, text)
        with ThreadPoolExecutor(1) as pool:
            stream = pool.submit(_seconds, target, text)
            within(PATIENCE, lambda: not target.is_idle())
            with connections(target.port, count):
                beside = stream.result()
        freed = within(PATIENCE, lambda: _speaks(target))
        log = target.process.log.splitlines()
    said = sum("files may be open" in line for line in log)
    errors = sum("Too many open files" in line or "Traceback" in line for line in log)
    broken = 0 if freed and said == 1 and errors <= 1 else count
    return promised(
        "More connections than files may be open are let go, the number that is served is said at "
        "the start, and those who listen hear on",
        f"idle connections at `ulimit -n {files}`, and a stream of {len(text):,} characters",
        count,
        "connections",
        broken,
        f"{errors} errors logged (before: 4,720 for 1,300); the stream took "
        f"{beside / alone:.1f} times as long as alone (before: 2.3)",
    )


@contextlib.contextmanager
def _files(count: int) -> Iterator[None]:
    """Let this process open as many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _seconds(target: Target, text: str) -> float:
    """How long a text takes to be heard."""
    began = time.monotonic()
    target.speak(text).raise_for_status()
    return time.monotonic() - began


def _speaks(target: Target) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return target.speaks()
    return False


def shares(bundle: Path, rounds: int, lines: int = 200) -> Promise:
    """One key uploads as many jobs as it can, again and again; another's job and result stay."""
    broken = 0
    keys = {"CHATTTS_API_KEYS": ",".join(KEYS)}
    with serving(bundle, {"batch-jobs": 8, "batch-workers": 1}, keys) as target:
        kept = _upload(target, KEYS[1], 1)
        broken += not _done(target, KEYS[1], kept)
        for _ in range(rounds):
            filled = [_upload(target, KEYS[0], lines) for _ in range(9)]
            job = _upload(target, KEYS[1], 1)
            done = _done(target, KEYS[1], job)
            ahead = [_state(target, KEYS[0], id) == "done" for id in filled if id]
            # The last result to be pushed out is that of this key, and by itself.
            broken += not done or all(ahead) or filled.count("") < 5
            for id in (*filled, job):
                target.client.delete(f"/v1/batch/{id}", headers={"x-api-key": KEYS[0]})
            target.client.delete(f"/v1/batch/{job}", headers={"x-api-key": KEYS[1]})
        broken += not _result(target, KEYS[1], kept)
    return promised(
        "A key's jobs neither keep another's waiting nor push its results out",
        f"one key uploads nine jobs of {lines} lines, the other one of a line, at `--batch-jobs 8`",
        rounds,
        "rounds",
        broken,
        "the job of a line was done before those of many, and the first result was kept (before: "
        "in no round)",
    )


def _upload(target: Target, key: str, lines: int) -> str:
    """A job's id, '' where it is refused."""
    files = {"file": ("a.txt", f"{TEXT}\n".encode() * lines)}
    answer = target.client.post("/v1/batch", files=files, headers={"x-api-key": key})
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def _done(target: Target, key: str, id: str) -> bool:
    return bool(id) and within(PATIENCE, lambda: _state(target, key, id) == "done")


def _state(target: Target, key: str, id: str) -> str:
    answer = target.client.get(f"/v1/batch/{id}", headers={"x-api-key": key})
    return str(answer.json().get("state", ""))


def _result(target: Target, key: str, id: str) -> bool:
    answer = target.client.get(f"/v1/batch/{id}/result", headers={"x-api-key": key})
    return answer.is_success and zipfile.is_zipfile(io.BytesIO(answer.content))


def queued(bundle: Path, count: int, size: int = UPLOAD, allowed: int = UPLOAD) -> Promise:
    """``count`` jobs of ``size`` bytes that wait; memory may grow by ``allowed`` for each but one,
    which is what reading one takes and gives back late."""
    line = f"{TEXT} ".encode() * 300 + b"\n"
    options = {"batch-jobs": count + 1, "batch-workers": 1, "batch-lines": 1_000_000}
    data = line * ((size - 4096) // len(line))
    with serving(bundle, options) as target:
        files = {"file": ("a.txt", data)}
        target.client.post("/v1/batch", files=files).raise_for_status()
        before = target.vitals().memory
        for _ in range(count):
            target.client.post("/v1/batch", files=files).raise_for_status()
        grown = (target.vitals().memory - before) / count
        spoke = target.speaks()
    return promised(
        "Jobs that wait lie on the disk, not in memory",
        f"uploads of {size >> 20} MiB behind one that is spoken",
        count,
        "jobs",
        0 if grown <= allowed / 4 and spoke else count,
        f"{grown / 1e6:.1f} MB of memory for each (before: 22 MB)",
    )
