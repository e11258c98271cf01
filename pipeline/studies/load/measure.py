"""One run: a server, locust's users, and what both saw."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chattts_onnx.format.manifest import Manifest
from chattts_onnx.serve.variants import revision_of
from pipeline.core.atomic import write_json
from pipeline.core.errors import LoadError
from pipeline.core.process import LAST_WORDS, own_environment, run
from pipeline.core.source import read_source
from pipeline.core.strict import parse_strictly
from pipeline.studies.load.config import LoadConfig, TargetConfig
from pipeline.studies.load.process import ServerProcess, continuous, locked
from pipeline.studies.load.talking import OPTIONS, talk

CONTINUOUS, NAIVE = "continuous batching", "lock per request"
RAMP, SOAK, TALK = "ramp", "soak", "talk"
USERS = Path(__file__).with_name("users.py")


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        target: name of what was served.
        system: :data:`CONTINUOUS` or :data:`NAIVE`.
        kind: :data:`RAMP`, :data:`SOAK` or :data:`TALK`.
        seconds: how long users came; 0 of a talk, which has its number of rounds.
        checkpoint: of the bundle's manifest.
        requests: user, kind (http, websocket; those of :mod:`.talking`), at (since the epoch),
            first_audio, total, stall (s), bytes and error.
        server: (seconds, resident bytes, CPU seconds used) through the run.
        sample_rate: of the sound, in Hz.
        metrics: the server's own counters at the end.
        code: commit of the code, with ``-dirty`` where files differ.
        bundle: start of the sha256 of the bundle's manifest, which vouches for its files.
    """

    target: str
    system: str
    kind: str
    seconds: float
    checkpoint: dict[str, Any]
    requests: list[dict[str, Any]]
    server: list[list[float]]
    sample_rate: int
    metrics: dict[str, float]
    code: str
    bundle: str

    @property
    def name(self) -> str:
        """A file's name."""
        return re.sub(r"[^\w-]+", "_", f"{self.target}-{self.kind}-{self.system}")

    def save(self, folder: Path) -> None:
        """Keep it for the report."""
        write_json(folder / f"{self.name}.json", vars(self))


def load_runs(folder: Path) -> list[Run]:
    """The runs kept in ``folder``."""
    paths = sorted(folder.glob("*.json"))
    return [parse_strictly(json.loads(path.read_text("utf-8")), Run) for path in paths]


def measure(config: LoadConfig, target: TargetConfig, system: str, kind: str) -> Run:
    """Serve ``target`` by ``system`` to the users for a :data:`RAMP` or a :data:`SOAK`, or to one
    that talks (:data:`TALK`).

    Raises:
        LoadError: the bundle is missing, or server or users ended by an error of their own.
    """
    bundle = Path(target.bundle)
    if not (bundle / "manifest.json").is_file():
        raise LoadError(f"{bundle}: found no bundle, expected the one of target {target.name}")
    manifest = Manifest.load(bundle, verify=False)
    options = [*target.server_options, *(OPTIONS if kind == TALK else ())]
    command = continuous(bundle, options) if system == CONTINUOUS else locked(bundle)
    seconds = {RAMP: config.seconds, SOAK: config.soak_seconds, TALK: 0.0}[kind]
    rate, steps = manifest.model.sample_rate, target.max_new_tokens
    with ServerProcess(command, config.ready_seconds) as server:
        if kind == TALK:
            samples = manifest.model.samples_per_step
            requests = talk(server.address, config.clauses, config.talk_rounds, steps, samples)
        else:
            talkers = config.websocket_users if system == CONTINUOUS else 0
            requests = drive(config, target, server.address, seconds, rate, talkers)
        server.check_alive()
        metrics = _metrics(server) if system == CONTINUOUS else {}
    return Run(
        target=target.name,
        system=system,
        kind=kind,
        seconds=seconds,
        checkpoint=dict(manifest.checkpoint) | {"variant": manifest.variant},
        requests=requests,
        server=[list(sample) for sample in server.samples],
        sample_rate=rate,
        metrics=metrics,
        code=str(read_source(Path(__file__).parent)),
        bundle=revision_of(bundle),
    )


def drive(
    config: LoadConfig,
    target: TargetConfig,
    address: str,
    seconds: float,
    sample_rate: int,
    websocket_users: int = 0,
) -> list[dict[str, Any]]:
    """Let locust's users loose on a server; a record of each of their requests."""
    plan = {
        "texts": config.texts,
        "voices": config.voices,
        "websocket_users": websocket_users,
        "seed": config.seed,
        "pause_seconds": config.pause_seconds,
        "max_new_tokens": target.max_new_tokens,
        "sample_rate": sample_rate,
    }
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.jsonl"
        # of a file's name locust makes a list at its commas, and a folder above may have one
        users = shutil.copy(USERS, folder)
        variables = {"LOAD_PLAN": json.dumps(plan), "LOAD_SAMPLES": str(samples)}
        words = [
            *(sys.executable, "-m", "locust", "-f", users, "--headless", "--only-summary"),
            *("--users", str(config.users), "--spawn-rate", f"{config.spawn_rate:g}"),
            *("--run-time", f"{seconds:g}s", "--stop-timeout", "120", "--host", address),
            *("--loglevel", "ERROR", "--skip-log-setup", "--exit-code-on-error", "0"),
        ]
        said = run(words, "locust", LoadError, environment=own_environment() | variables)
        lines = samples.read_text("utf-8").splitlines() if samples.exists() else []
        if not lines:
            raise LoadError(f"locust ended without a request: {said[-LAST_WORDS:].strip()}")
        return [json.loads(line) for line in lines]


def _metrics(server: ServerProcess) -> dict[str, float]:
    """The server's own counters that tell what was refused or went wrong."""
    found: dict[str, float] = {}
    for line in server.get("/metrics").splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(("chattts_requests_total", "chattts_audio_seconds_total")):
            found[name] = float(value)
    return found
