"""MLflow's own servers, started for a test."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.process import Process

# A busy machine imports MLflow for a minute.
DEADLINE_SECONDS = 300.0
# The server would start eight workers for jobs that nothing here asks for.
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextmanager
def mlflow_server(arguments: list[str], health: str, folder: Path) -> Iterator[str]:
    """Run ``mlflow <arguments>`` on a free port of the loopback until it answers; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", *arguments, "--host=127.0.0.1", f"--port={port}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **LEAN}
    with Process(command, environment, folder, grace=30) as process:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not _answers(url + health):
            if process.status is not None or time.monotonic() > deadline:
                raise AssertionError(f"mlflow {arguments[0]} did not start: {process.last_words}")
            time.sleep(0.2)
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
