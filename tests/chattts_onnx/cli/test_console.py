"""Every command on consoles that can't show a character, with and without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chattts_onnx.cli.main import build_parser

ROOT = Path(__file__).parents[3]
ENCODINGS = ["ascii", "cp1252", "gbk", "shift_jis", "utf-8"]
NAMES = sorted(build_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]
# What is printed with characters of every kind, or ends in an error that quotes some.
SPOKEN = "今天 2 ∑ ça 한국 😀 花儿"
COMMANDS: list[list[str]] = [
    ["--help"],
    ["--version"],
    *([name, "--help"] for name in NAMES),
    *(["voices", action, "--help"] for action in ("list", "create", "show", "convert", "clone")),
    ["say", SPOKEN, "--dry-run"],
    ["say", SPOKEN, "--dry-run", "-b", "BUNDLE"],
    ["say", "x", "-b", "BUNDLE", "-o", "OUT/声音é한.wav", "--seed=3", "--max-new-tokens=8"],
    ["say", "x", "-b", "BUNDLE", "-o", "OUT/x.wav", "--voice", "声音é한"],
    ["say", "x", "-b", "没有é한", "-o", "OUT/x.wav"],
    ["voices", "show", "anna", "-b", "BUNDLE"],
    ["voices", "list", "-b", "BUNDLE"],
    ["voices", "list", "没有é한.json"],
    ["batch", "没有é한.jsonl", "-o", "OUT/b", "-b", "BUNDLE"],
    ["fetch", "没有é한", "-o", "OUT/c"],
    ["verify", "没有é한"],
    ["doctor", "-b", "没有é한"],
    ["serve", "-b", "没有é한"],
    ["completion", "bash"],
]
# Runs them in one process, since starting Python takes longer than they do.
DRIVER = """
import io, sys, traceback
from chattts_onnx.cli import main
for encoding in sys.argv[1].split():
    for line in sys.argv[2:]:
        sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding)
        sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding)
        arguments = line.split("\\x1f")
        try:
            status = main(arguments)
        except SystemExit as exit:
            status = exit.code
        except BaseException:
            sys.stderr.reconfigure(errors="backslashreplace")
            traceback.print_exc()
            status = "traceback"
        sys.stdout.flush()
        print(f"\\n{encoding} {status} {arguments[0]}", file=sys.stderr, flush=True)
"""


def run(commands: list[list[str]], terminal: bool) -> bytes:
    lines = ["\x1f".join(words) for words in commands]
    command = [sys.executable, "-c", DRIVER, " ".join(ENCODINGS), *lines]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if not terminal:
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.run(command, env=env, timeout=300, check=True, **both).stdout  # type: ignore[call-overload, no-any-return]
    host, guest = pty.openpty()
    shown: list[bytes] = []

    def collect() -> None:
        try:
            while block := os.read(host, 1 << 16):
                shown.append(block)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=collect)
    reader.start()
    subprocess.run(command, env=env, stdout=guest, stderr=guest, timeout=300, check=True)
    os.close(guest)
    reader.join(30)
    os.close(host)
    return b"".join(shown)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_no_command_ends_in_a_traceback(terminal: bool, bundle_path: Path, tmp_path: Path) -> None:
    places = {"BUNDLE": str(bundle_path), "OUT": str(tmp_path)}
    commands = []
    for words in COMMANDS:
        for name, place in places.items():
            words = [word.replace(name, place) for word in words]
        commands.append(words)
    shown = run(commands, terminal)
    assert b"Traceback" not in shown, shown[shown.index(b"Traceback") :][:3000].decode()
    for encoding in ENCODINGS:
        statuses = [line for line in shown.splitlines() if line.startswith(f"{encoding} ".encode())]
        assert len(statuses) == len(COMMANDS)
        assert {line.split()[1] for line in statuses} == {b"0", b"1", b"2"}
        # What the encoding has is shown as it is, the rest by its number.
        known = encoding in ("gbk", "shift_jis", "utf-8")
        assert ("今天".encode(encoding) if known else b"\\u4eca\\u5929") in shown
    assert (tmp_path / "声音é한.wav").is_file()


def test_the_standard_streams_themselves_are_not_needed() -> None:
    """Under pythonw and some service managers there are none."""
    code = "import sys; sys.stdout = sys.stderr = None\nfrom chattts_onnx.console import *\n"
    subprocess.run([sys.executable, "-c", code + "make_printable()"], cwd=ROOT, check=True)


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-16", "utf-8-sig"])
def test_text_in_other_encodings_by_every_way_in(encoding: str, tmp_path: Path) -> None:
    data = "今天共5个".encode(encoding)
    source = tmp_path / "text.txt"
    source.write_bytes(data)
    marked = encoding in ("utf-16", "utf-8-sig")
    named = [] if marked else ["--encoding", encoding]
    base = [sys.executable, "-m", "chattts_onnx", "say", "--dry-run"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    ways: list[tuple[list[str | bytes], bytes]] = [([], data), (["-f", str(source)], b"")]
    if b"\0" not in data:
        ways.append(([data], b""))
    for words, stdin in ways:
        done = subprocess.run([*base, *words, *named], input=stdin, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert "今天共五个" in done.stdout.decode()
        if not marked:
            done = subprocess.run([*base, *words], input=stdin, env=env, capture_output=True)
            assert done.returncode == 2 and b"is not UTF-8 text" in done.stderr
            assert done.stdout == b"" and done.stderr.count(b"\n") == 1


def test_a_locale_says_its_encoding() -> None:
    code = "import sys; from chattts_onnx.cli import main; sys.exit(main(['say', '--dry-run']))"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "gbk"}
    for data in ("今天共5个".encode("gbk"), "今天共5个".encode()):
        done = subprocess.run(
            [sys.executable, "-c", code], input=data, env=env, capture_output=True
        )
        assert done.returncode == 0 and "今天共五个" in done.stdout.decode("gbk")
