"""A page whose name is pointed at this machine after it was loaded, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser
from tests.chattts_onnx.serve.conftest import running, settings_for

pytestmark = pytest.mark.slow
NAME = "rebound.example"
# What a page would do with jobs and speech of others.
ATTACK = """
const [path, options, done] = arguments;
fetch(path, options).then(async r => done([r.status, await r.text()]), e => done([0, String(e)]));
"""
FORM = "const f = new FormData(); f.append('file', new Blob(['hello']), 'a.txt');"
UPLOAD = f"{FORM} const done = arguments[0]; fetch('/v1/batch', {{method: 'POST', body: f}})"
UPLOAD += ".then(r => done(r.status), e => done(0));"


class Page(BaseHTTPRequestHandler):
    """The attacker's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>harmless</title>")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def attacker() -> Iterator[int]:
    """Serves the page on a port, which is free again afterwards."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_name_that_is_pointed_here_reads_nothing(steady_path: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile", rebound=NAME) as page:
        page.set_page_load_timeout(120)
        page.set_script_timeout(120)
        # With the name allowed the attack works, so that the test would see it.
        for allowed, status in (((), 403), ((NAME,), 200)):
            with attacker() as port:
                page.get(f"http://{NAME}:{port}/")
                assert page.title == "harmless"
            with running(settings_for(steady_path, port=port, allowed_hosts=allowed)) as server:
                for path, options in (
                    ("/v1/batch", {}),
                    ("/v1/voices", {}),
                    ("/v1/tts?text=hello", {}),
                    ("/v1/tts", {"method": "POST", "body": '{"text": "hello"}'}),
                ):
                    found, text = page.execute_async_script(ATTACK, path, options)
                    assert found == status and ("OriginError" in text) == (status == 403), path
                assert page.execute_async_script(UPLOAD) == (202 if allowed else 403)
                jobs = server.server.config.app.state.jobs  # type: ignore[union-attr]
                assert len(jobs.all()) == bool(allowed)
