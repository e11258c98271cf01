"""Clients of others against the server, each from its own library (`requirements.txt`).

Runs where their environment exists: ``.venv-clients``, or CHATTTS_CLIENTS_PYTHON names its python.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chattts_onnx.serve.conftest import (
    PATIENCE,
    STEPS,
    Running,
    build_steady,
    running,
    settings_for,
)

HERE = Path(__file__).parent
DEFAULT = HERE.parents[1] / ".venv-clients" / "bin" / "python"
PYTHON = Path(os.environ.get("CHATTTS_CLIENTS_PYTHON", DEFAULT))
pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="no clients' environment: tests/clients/requirements.txt"
)
SAMPLES = (2 * STEPS - 1) * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = build_steady(tmp_path_factory.mktemp("served") / "steady")
    with running(settings_for(folder)) as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize("client", ["livekit", "pipecat"])
@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1"])
def test_speech_arrives(server: Running, client: str, model: str) -> None:
    command = [str(PYTHON), str(HERE / f"{client}_client.py"), server.url, model]
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=8 * PATIENCE, env=plain, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    heard = json.loads(done.stdout.strip().splitlines()[-1])
    # LiveKit fills its last frame.
    assert SAMPLES <= heard["samples"] < SAMPLES + 480 and heard["rate"] == 24_000
