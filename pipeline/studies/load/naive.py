"""What continuous batching is compared with: a server that speaks one request at a time.

``python -m pipeline.studies.load.naive --bundle FOLDER --port 0``: one lock around the bundle, a
thread for each connection.  It streams, which is the most that can be done with a lock: the request
that has it gives its first sound as early as it would alone.
"""

from __future__ import annotations

import argparse
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chattts_onnx import Bundle, ChatTTSError, open_bundle
from chattts_onnx.audio.wav import to_pcm


class Handler(BaseHTTPRequestHandler):
    """GET ``/ready`` and ``/v1/tts``, which answers with 16-bit PCM."""

    protocol_version = "HTTP/1.1"
    bundle: Bundle
    lock: threading.Lock

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        if url.path == "/ready":
            self._plain(200, b"ready")
        elif url.path == "/v1/tts":
            self._speak({name: values[-1] for name, values in parse_qs(url.query).items()})
        else:
            self._plain(404, b"not found")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: a line a request would cost time."""

    def _speak(self, query: dict[str, str]) -> None:
        params = self.bundle.default_params()
        steps = int(query.get("max_new_tokens", params.max_new_tokens))
        params = params.but(max_new_tokens=steps, min_new_tokens=min(params.min_new_tokens, steps))
        with self.lock:
            try:
                chunks = self.bundle.stream(
                    query["text"],
                    query.get("voice"),
                    seed=int(query.get("seed", 0)),
                    params=params,
                )
            except (ChatTTSError, KeyError) as error:
                self._plain(422, str(error).encode())
                return
            self.send_response(200)
            self.send_header("Content-Type", "audio/pcm")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                data = to_pcm(chunk)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    def _plain(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """As many waiting connections as there may be users."""

    request_queue_size = 128
    daemon_threads = True


def main() -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve a bundle with a lock around it.")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Handler.bundle = open_bundle(options.bundle, huge_pages=True)
    Handler.lock = threading.Lock()
    params = Handler.bundle.default_params().but(max_new_tokens=4, min_new_tokens=1)
    Handler.bundle.say("ready", params=params)
    with Server(("127.0.0.1", options.port), Handler) as server:
        print(f"serving on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
