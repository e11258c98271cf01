"""Which changes of the code no test notices: ``python -m tools.drills.mutants [MODULE ...]``.

Each mutant is a module with one small change (:mod:`.mutations`), written into a copy of what git
knows; the tests of the module run there, in a process of their own, until one fails.  So commands
that tests start meet the change too, and the checkout may be worked on meanwhile.  What survives
is listed in ``tools/drills/survivors.tsv`` with a verdict, or is named by this drill.  Hours; not
in CI.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.drills.mutations import Mutant, mutants
from tools.drills.record import Promise, merge_record

SURVIVORS = Path(__file__).parent / "survivors.tsv"
_OURS = ("chattts_onnx", "pipeline", "tests", "tools", "conftest")
# Tests beside those of the mirrored path, for modules whose promises others hold.
BESIDE = {
    "chattts_onnx/decoding/sampling.py": ["tests/chattts_onnx/decoding/test_sampling.py"],
    "chattts_onnx/decoding": ["tests/chattts_onnx/decoding"],
    "chattts_onnx/archive": ["tests/chattts_onnx/archive"],
    "chattts_onnx/text/core/readback.py": ["tests/chattts_onnx/text/test_values.py"],
    "chattts_onnx/text/rules": ["tests/chattts_onnx/text"],
    "chattts_onnx/text/markup": ["tests/chattts_onnx/text/test_markup.py"],
    "chattts_onnx/text": ["tests/chattts_onnx/text"],
    "chattts_onnx/speech": ["tests/chattts_onnx/speech"],
    "chattts_onnx/voices": ["tests/chattts_onnx/voices"],
}


def tests_of(module: str) -> list[str]:
    """The tests that are to notice a change of ``module``."""
    path = Path(module)
    mirrored = Path("tests") / path.parent / f"test_{path.stem}.py"
    near = next((BESIDE[k] for k in (module, *map(str, path.parents)) if k in BESIDE), [])
    own = [str(mirrored)] if mirrored.is_file() else []
    return list(dict.fromkeys([*own, *near])) or [str(mirrored.parent)]


def notices(module: str, source: str, tests: list[str], seconds: float, told: Path | None) -> bool:
    """Whether a test fails, or hangs, over ``source``; ``told`` gets the names of all modules."""
    status = Path(f"build/mutants.{os.getpid()}")
    status.unlink(missing_ok=True)
    whole = Path(module).read_text(encoding="utf-8")
    Path(module).write_text(source, encoding="utf-8")
    child = os.fork()
    if child == 0:
        os.setsid()
        _run_tests(tests, seconds, told, status)
    try:
        _wait(child, seconds)
    finally:
        Path(module).write_text(whole, encoding="utf-8")
    return not status.exists() or status.read_text(encoding="utf-8") != "0"


def _wait(child: int, seconds: float) -> None:
    """Until it ends, or is ended as one that hangs."""
    left = 20 * seconds  # of a busy machine; while this process is stopped none is counted
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if left < 0:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.02)
        left -= 0.02
    # What the tests started and left.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _run_tests(tests: list[str], seconds: float, told: Path | None, status: Path) -> None:
    """In the child: never returns."""
    import pytest

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    limit = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    # What this drill itself stands on is loaded anew, and from the copy.
    for name in [n for n in sys.modules if n.split(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path.insert(0, str(Path.cwd()))
    flags = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not slow"]
    ended = int(pytest.main([*flags, *tests]))
    if told is not None:
        told.write_text(json.dumps(sorted(sys.modules)))
    status.write_text(str(ended), encoding="utf-8")
    os._exit(0)


def copy_checkout(folder: Path) -> None:
    """What git knows of the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if Path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)


def verdicts() -> dict[str, str]:
    """Survivors that somebody judged: name, verdict."""
    if not SURVIVORS.exists():
        return {}
    lines = SURVIVORS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1)[::-1] for line in lines if line and not line.startswith("#"))


def drill(module: str, most: int, seed: int) -> tuple[int, list[Mutant]]:
    """Mutants tried of a module, and those that survived."""
    source, tests = Path(module).read_text(encoding="utf-8"), tests_of(module)
    told = Path("build/mutants.modules")
    told.parent.mkdir(exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if notices(module, source, tests, 600, told):
        raise SystemExit(f"{module}: its tests ({', '.join(tests)}) fail without any change.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    for name in json.loads(told.read_text(encoding="utf-8")):
        if not name.startswith(_OURS) and "." not in name and not name.startswith("_"):
            try:
                importlib.import_module(name)  # once, for all that are forked from here
            except Exception:
                continue
    drawn = mutants(module, source)
    if len(drawn) > most:
        drawn = random.Random(f"{module} {seed}").sample(drawn, most)
    alive = []
    for mutant in drawn:
        if not notices(module, mutant.source, tests, 3 * spent + 5, None):
            alive.append(mutant)
    return len(drawn), alive


def promise(module: str, tried: int, alive: list[Mutant], judged: dict[str, str]) -> Promise:
    """A row of the table for one module; ``broken`` counts what nobody judged to be harmless."""
    found = [judged.get(mutant.name, "open") for mutant in alive]
    harmless, unheld = found.count("equal"), found.count("open")
    return Promise(
        area="tests",
        promise=f"`{module}`: a small change is noticed by a test",
        tried=f"`python -m tools.drills.mutants {module}`: comparisons, arithmetic, constants, "
        "calls and errors, one changed or dropped at a time",
        count=tried - harmless,
        unit="mutants",
        broken=unheld,
        result=f"{tried - harmless - unheld} noticed, {harmless} more change nothing; survivors "
        "with verdicts are in `tools/drills/survivors.tsv`",
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 where a survivor has no verdict."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.mutants", description=__doc__)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="a file of the packages")
    parser.add_argument("--most", type=int, default=10_000, help="mutants of each module, drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=Path, help="folder in which mutants.json is written")
    options = parser.parse_args(arguments)
    judged, unknown = verdicts(), 0
    records = options.records and options.records.absolute()
    folder = tempfile.mkdtemp(prefix="mutants-")
    copy_checkout(Path(folder))
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for module in options.modules:
        tried, alive = drill(module, options.most, options.seed)
        print(f"{module}: {tried} mutants, {len(alive)} survive", flush=True)
        for mutant in alive:
            verdict = judged.get(mutant.name, "?")
            unknown += verdict == "?"
            print(f"{verdict}\t{mutant.name}\t(line {mutant.line})", flush=True)
        if records:
            merge_record("mutants", [promise(module, tried, alive, judged)], records)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
