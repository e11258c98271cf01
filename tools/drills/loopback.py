"""A server of files on this machine that is slow, breaks off, fails or never answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_BLOCK = 1 << 14


@dataclass
class Faults:
    """What the server does wrong.

    Attributes:
        cuts: bytes after which each next answer's connection is cut; empty: none is.
        pause_seconds: wait between blocks of 16 KiB.
        status: answer of every request, instead of a file.
        silent: accept requests and never answer.
    """

    cuts: list[int] = field(default_factory=list)
    pause_seconds: float = 0.0
    status: int = 0
    silent: bool = False


@contextmanager
def serving(files: dict[str, Path], faults: Faults) -> Iterator[str]:
    """Serve files by the last part of the URL's path; yields the address."""
    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files, faults, over))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def begin_file(handler: BaseHTTPRequestHandler, path: Path, ranges: bool = True) -> bytes:
    """Answer with a file's headers; returns what is to follow, from where it was asked for."""
    data, start = path.read_bytes(), 0
    if ranges and (wanted := handler.headers.get("Range")):
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(data):
            handler.send_error(416)
            return b""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()
    return data[start:]


def _handler(
    files: dict[str, Path], faults: Faults, over: threading.Event
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if faults.silent:
                over.wait()
                return
            path = next((files[name] for name in files if self.path.endswith(name)), None)
            if faults.status or path is None:
                self.send_error(faults.status or 404)
                return
            rest = begin_file(self, path)
            if faults.cuts:
                rest = rest[: faults.cuts.pop(0)]
            # A client that was killed does not read on.
            with suppress(ConnectionError):
                for first in range(0, len(rest), _BLOCK):
                    self.wfile.write(rest[first : first + _BLOCK])
                    time.sleep(faults.pause_seconds)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
