"""Commands of the pipeline, its tools and recipes on consoles that can't show every character."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("pipeline", "tools", "mini")
# One that shows nothing of it and one that shows a part; chattts-onnx is tried with more.
ENCODINGS = ["ascii", "gbk"]
# Started by commands, to talk with them alone.
WORKERS = {"pipeline.benchmark.worker", "pipeline.benchmark.latency_probe"}
WORKERS |= {"pipeline.studies.gpu.child", "tools.drills.fuzz.worker"}
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for floor in FLOORS
    for path in (ROOT / floor).rglob("*.py")
    if '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
# Each is run as by python -m in an empty folder, with a name that only UTF-8 can show; all in one
# process, since imports take the time.
DRIVER = """
import importlib, io, os, runpy, sys, traceback, warnings
warnings.simplefilter("ignore")
encodings, commands = sys.argv[1].split(), sys.argv[2:]
out, err = sys.stdout, sys.stderr
for name in commands:
    package = name.partition(".")[0]
    for encoding in encodings:
        for words in (["--help"], ["没有é한😀", "--没有é한😀"]):
            shown = io.BytesIO()
            sys.stdout = sys.stderr = io.TextIOWrapper(shown, encoding)
            sys.argv, status = ["-m"], 0
            sys.modules.pop(package, None)
            importlib.import_module(package)
            sys.argv = [name, *words]
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as exit:
                status = exit.code
            except ModuleNotFoundError as error:  # recipes have an environment of their own
                status = 0 if package == "mini" else repr(error)
            except BaseException:
                status = traceback.format_exc()
            sys.stdout.flush()
            sys.stdout, sys.stderr = out, err
            print(ascii((name, encoding, status)), flush=True)
"""


def test_nothing_is_left_out() -> None:
    assert len(COMMANDS) > 60 and set(COMMANDS) > WORKERS
    for floor in FLOORS:
        start = (ROOT / floor / "__init__.py").read_text(encoding="utf-8")
        assert 'sys.argv[:1] == ["-m"]' in start and "make_printable()" in start


def test_no_command_of_the_pipeline_ends_in_a_traceback(tmp_path: Path) -> None:
    commands = [name for name in COMMANDS if name not in WORKERS]
    command = [sys.executable, "-c", DRIVER, " ".join(ENCODINGS), *commands]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, stdin=subprocess.DEVNULL
    )
    runs = [
        ast.literal_eval(line) for line in done.stdout.decode().splitlines() if line[:2] == "('"
    ]
    assert len(runs) == 2 * len(ENCODINGS) * len(commands), done.stderr.decode()[-2000:]
    assert [run for run in runs if run[2] not in (0, 1, 2, None)] == []
