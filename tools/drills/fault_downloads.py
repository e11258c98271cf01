"""Downloads of checkpoints and bundles that are cut, or whose process is killed."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

import yaml

from chattts_onnx.archive.sums import SUMS_NAME
from chattts_onnx.format.files import hash_file
from pipeline.core.process import Process
from tools.drills.attempts import Attempts
from tools.drills.loopback import Faults, serving
from tools.drills.project import call, digest, environment, remove

_REVISION = "0" * 40
_PATIENCE = 600


def cut_archives(clone: Path, place: Path, count: int, seed: int) -> Attempts:
    """``chattts-onnx fetch`` of a release's archive, cut and killed at random, then run again."""
    attempts = Attempts(
        "A bundle that is being fetched is absent until it is whole and checked; the same command "
        "goes on after a cut or a kill.",
        "connections cut after random bytes and SIGKILL at random moments, over loopback",
        "downloads",
    )
    rng, dist = random.Random(seed), clone / "dist"
    archive = next(dist.glob("*-int8.tar"))
    files = {path.name: path for path in (archive, dist / SUMS_NAME)}
    wanted = digest(clone / "bundles/int8")
    for _ in range(count):
        remove(place)
        place.mkdir(parents=True)
        faults = Faults([rng.randrange(archive.stat().st_size) for _ in range(2)], 0.01)
        # The sums come first, whole.
        faults.cuts.insert(0, files[SUMS_NAME].stat().st_size)
        with serving(files, faults) as address:
            command = [sys.executable, "-m", "chattts_onnx", "fetch", f"{address}/{archive.name}"]
            command += ["-o", "bundle"]
            killed = _killed(command, place, clone, 0.5 + 2.0 * rng.random())
            problems = [] if not killed else _absent(place / "bundle", wanted)
            faults.pause_seconds = 0.0
            if killed:
                done = call(clone, command, place, seconds=_PATIENCE)
                if done.returncode:
                    problems.append(done.stderr.strip()[-300:])
        if digest(place / "bundle") != wanted:
            problems.append("the bundle differs")
        if left := [path.name for path in place.iterdir() if path.name != "bundle"]:
            problems.append(f"left over: {', '.join(left)}")
        attempts.add("killed" if killed else "cut", problems)
    return attempts


def cut_checkpoints(clone: Path, place: Path, count: int, seed: int) -> Attempts:
    """Stage ``checkpoint`` from a hub on loopback, cut and killed at random, then run again."""
    attempts = Attempts(
        "A checkpoint that is being downloaded is absent until it is whole and checked; a rerun "
        "goes on from what was there.",
        "stage checkpoint from a hub over loopback: cut after random bytes, and SIGKILL",
        "downloads",
    )
    rng, source = random.Random(seed), clone / "build/checkpoint"
    record = json.loads((source / "checkpoint.json").read_text("utf-8"))["files"]
    files = {name: source / name for name in record}
    pinned = {name: {"sha256": e["sha256"], "bytes": e["bytes"]} for name, e in record.items()}
    params = yaml.safe_load((clone / "params.yaml").read_text("utf-8"))
    params["checkpoint"] |= {"kind": "hub", "repo": "someone/speech", "revision": _REVISION}
    params["checkpoint"] |= {"seeded": None, "files": pinned}
    wanted = {name: hash_file(path) for name, path in files.items()}
    biggest = max(path.stat().st_size for path in files.values())
    command = [sys.executable, "-m", "pipeline.stages.checkpoint"]
    for _ in range(count):
        remove(place)
        place.mkdir(parents=True)
        (place / "params.yaml").write_text(yaml.safe_dump(params))
        faults = Faults([rng.randrange(biggest) for _ in range(3)], 0.02)
        with serving(files, faults) as address:
            extra = {"HF_ENDPOINT": address, "HF_HOME": str(place / "hub")}
            killed = _killed(command, place, clone, 2.0 + 4.0 * rng.random(), extra)
            problems = []
            if killed and (place / "build/checkpoint").exists():
                problems += _other_files(place / "build/checkpoint", wanted)
            faults.cuts.clear()
            faults.pause_seconds = 0.0
            done = call(clone, command, place, extra, _PATIENCE)
        if done.returncode:
            problems.append(done.stderr.strip()[-300:])
        problems += _other_files(place / "build/checkpoint", wanted)
        attempts.add("killed" if killed else "cut", problems)
    shutil.rmtree(place)
    return attempts


def _killed(
    command: list[str],
    place: Path,
    clone: Path,
    seconds: float,
    extra: dict[str, str] | None = None,
) -> bool:
    """Run and SIGKILL after some time; False where it had ended before."""
    with Process(command, {**environment(clone), **(extra or {})}, place) as process:
        status = process.wait(seconds)
        process.kill()
    return status is None


def _absent(folder: Path, wanted: str | None) -> list[str]:
    return [f"{folder.name} is half there"] if digest(folder) not in (None, wanted) else []


def _other_files(folder: Path, wanted: dict[str, str]) -> list[str]:
    return [
        f"{name} is missing or differs"
        for name, sha256 in wanted.items()
        if not (folder / name).is_file() or hash_file(folder / name) != sha256
    ]
