"""A tiny checkpoint, and a loopback server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from pipeline.checkpoint.config import CheckpointConfig, PinnedFile, SeededConfig
from pipeline.checkpoint.record import hash_files
from tests.pipeline.checkpoint.tiny import TINY

REPOSITORY = "someone/speech"
# pragma: allowlist nextline secret
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def tiny_config() -> SeededConfig:
    """Every size differs from the official one, and no two sizes are equal by accident."""
    return TINY


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> Path:
    """A checkpoint of ``tiny_config``; tests must not change it."""
    return tiny_checkpoint


@pytest.fixture
def damaged(tiny: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny, tmp_path / "damaged"))


Rewrite = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]


@pytest.fixture
def rewrite() -> Callable[[Path, Rewrite], None]:
    """Change header and data of a safetensors file without the help of any library."""

    def apply(path: Path, change: Rewrite) -> None:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header, data = change(json.loads(content[8:start]), content[start:])
        encoded = json.dumps(header).encode()
        path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)

    return apply


@dataclass
class Hub:
    """State of the loopback server."""

    folder: Path
    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    # path of a file -> bytes after which its connection is cut, for so many requests
    cuts: dict[str, list[int]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def ranges(self, name: str) -> list[str | None]:
        """The Range header of each GET of a file."""
        return [range_ for verb, path, range_ in self.requests if verb == "GET" and path == name]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            """Keep test output clean."""

        def _answer(self, body: bool) -> None:
            if self.path == f"/api/models/{REPOSITORY}/revision/{REVISION}":
                names = [
                    {"rfilename": path.relative_to(hub.folder).as_posix()}
                    for path in hub.folder.rglob("*")
                    if path.is_file()
                ]
                listing = json.dumps({"id": REPOSITORY, "sha": REVISION, "siblings": names})
                self._send(200, listing.encode(), {"Content-Type": "application/json"}, body)
                return
            prefix = f"/{REPOSITORY}/resolve/{REVISION}/"
            name = self.path.removeprefix(prefix)
            asked = self.headers.get("Range")
            hub.requests.append((self.command, name, asked))
            path = hub.folder / name
            if not self.path.startswith(prefix) or name in hub.missing or not path.is_file():
                headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION}
                self._send(404, b"", headers, body)
                return
            content = path.read_bytes()
            headers = {
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": REVISION,
                "X-Linked-Size": str(len(content)),
                "Accept-Ranges": "bytes",
            }
            status = 200
            if asked is not None:
                begin = int(asked.removeprefix("bytes=").rstrip("-"))
                headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                content, status = content[begin:], 206
            self._send(status, content, headers, body, cut=self._next_cut(name, body))

        def _next_cut(self, name: str, body: bool) -> int | None:
            cuts = hub.cuts.get(name)
            return cuts.pop(0) if body and cuts else None

        def _send(
            self,
            status: int,
            content: bytes,
            headers: dict[str, str],
            body: bool,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True

    return Handler


@pytest.fixture
def hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that holds the tiny checkpoint; downloads go below ``tmp_path``."""
    state = Hub(tiny)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # http_get writes in blocks of this size, 10 MB otherwise, and forgets an unfinished one
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub_config(tiny: Path) -> CheckpointConfig:
    """The tiny checkpoint, pinned."""
    files = {
        name: PinnedFile(record.sha256, None if name.endswith("map.json") else record.bytes)
        for name, record in hash_files(tiny).items()
    }
    return CheckpointConfig(
        name="speech",
        kind="hub",
        license="test",
        repo=REPOSITORY,
        revision=REVISION,
        files=files,
    )
