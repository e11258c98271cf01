"""Completion scripts, run by the shells that are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from chattts_onnx import cli
from chattts_onnx.cli import completion

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
# Far longer than any shell takes; nothing waits for it to pass.
DEADLINE = 60.0


def complete(words: list[str], folder: Path) -> list[str]:
    """What bash offers for the last of ``words``."""
    script = completion.bash(cli.build_parser())
    quoted = " ".join(f'"{word}"' for word in words)
    probe = (
        f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _chattts_onnx\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", probe], capture_output=True, text=True, cwd=folder, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["chattts-onnx", "sa"], ["say"]),
        (["chattts-onnx", ""], ["say", "voices", "doctor", "completion"]),
        (["chattts-onnx", "voices", "c"], ["create", "convert", "clone"]),
        (["chattts-onnx", "say", "hello", "--dry"], ["--dry-run"]),
        (["chattts-onnx", "say", "--format", ""], ["wav", "raw", "flac", "mp3", "opus"]),
        (["chattts-onnx", "say", "--numbers", "d"], ["digits"]),
        (["chattts-onnx", "completion", "b"], ["bash"]),
        (["chattts-onnx", "say", "-o", "bo"], ["book.txt"]),
        (["chattts-onnx", "voices", "list", "bo"], ["book.txt"]),
        (["chattts-onnx", "voices", "create", "x", "--so"], ["--source"]),
    ],
)
def test_bash_offers(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    (tmp_path / "book.txt").write_text("x")
    found = complete(words, tmp_path)
    assert [w for w in found if w in offered] == offered
    if words[-1]:
        assert found == offered


def test_every_command_and_option_is_in_every_script(capsys: pytest.CaptureFixture[str]) -> None:
    parser = cli.build_parser()
    options = {
        option.lstrip("-")
        for _, sub in completion._paths(parser)
        for action in sub._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    assert {"oral", "dry-run", "transcript", "json"} <= options
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert all(option in script for option in options)
        assert all(name in script for name in ("say", "voices", "doctor", "completion", "clone"))


@needs_bash
def test_bash_keeps_names_with_spaces_whole(tmp_path: Path) -> None:
    (tmp_path / "my book.txt").write_text("x")
    script = completion.bash(cli.build_parser())
    probe = f"{script}\nCOMP_WORDS=(chattts-onnx say -f my); COMP_CWORD=3; _chattts_onnx\n"
    done = subprocess.run(
        ["bash", "-c", probe + 'echo "${#COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout == "1\n"


@needs_fish
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("chattts-onnx sa", ["say"]),
        ("chattts-onnx voices c", ["clone", "convert", "create"]),
        ("chattts-onnx say hello --dry", ["--dry-run"]),
        ("chattts-onnx say --format ", ["flac", "mp3", "opus", "raw", "wav"]),
        ("chattts-onnx say --numbers d", ["digits"]),
        ("chattts-onnx say --seed bo", []),
        ("chattts-onnx completion ", ["bash", "fish", "zsh"]),
        ("chattts-onnx say -o bo", ["book.txt"]),
        ("chattts-onnx voices list bo", ["book.txt"]),
        ("chattts-onnx doctor bo", []),
        ("chattts-onnx doctor -b bo", ["book.txt"]),
        ("chattts-onnx voices create x --so", ["--source"]),
    ],
)
def test_fish_offers(tmp_path: Path, line: str, offered: list[str]) -> None:
    (tmp_path / "book.txt").write_text("x")
    probe = f"{completion.fish(cli.build_parser())}\ncomplete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", probe],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        env={**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / ".data")},
    )
    assert done.stderr == ""
    assert [row.split("\t")[0] for row in done.stdout.splitlines()] == offered


class Zsh:
    """An interactive zsh on a terminal of its own, with the script loaded."""

    def __init__(self, folder: Path) -> None:
        source = folder / ".completion"
        source.write_text(completion.zsh(cli.build_parser()), "utf-8")
        self._terminal, inner = pty.openpty()
        self._process = subprocess.Popen(
            ["zsh", "-f", "-i"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "PS1": "", "HOME": str(folder)},
        )
        os.close(inner)
        # What the command was called with is what completion made of the line.
        self._send(
            "autoload -U compinit; compinit -u -D; source .completion; "
            'chattts-onnx() { print -rl -- "${(q)@}" > called; mv called "$CALLED"; }; '
            "unsetopt zle beep; print -r ready > ready; setopt zle\n"
        )
        self._folder = folder
        self._count = 0
        self._wait("ready")

    def complete(self, line: str) -> list[str]:
        """The words of ``line`` after a TAB at its end."""
        self._count += 1
        name = f"call{self._count}"
        self._send(f"CALLED={name}; print -r x > typed{self._count}\n")
        self._wait(f"typed{self._count}")
        self._send(f"{line}\t\n")
        return self._wait(name).split()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _send(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _wait(self, name: str) -> str:
        path, said = self._folder / name, b""
        end = time.monotonic() + DEADLINE
        while not path.exists():
            assert time.monotonic() < end, said.decode(errors="replace")
            if select.select([self._terminal], [], [], 0.05)[0]:
                said += os.read(self._terminal, 4096)
        return path.read_text()


@needs_zsh
@pytest.mark.slow
def test_zsh_completes(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("x")
    shell = Zsh(tmp_path)
    try:
        for line, words in (
            ("chattts-onnx sa", "say"),
            ("chattts-onnx voices cre", "voices create"),
            ("chattts-onnx say hello --dry", "say hello --dry-run"),
            ("chattts-onnx say --numbers d", "say --numbers digits"),
            ("chattts-onnx completion f", "completion fish"),
            ("chattts-onnx say -o bo", "say -o book.txt"),
            ("chattts-onnx voices list bo", "voices list book.txt"),
            ("chattts-onnx doctor bo", "doctor bo"),
            ("chattts-onnx voices create x --so", "voices create x --source"),
        ):
            assert shell.complete(line) == words.split(), line
    finally:
        shell.close()


@pytest.mark.parametrize("command", ["", "say", "serve", "voices", "doctor", "completion"])
def test_help_shows_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*filter(None, [command]), "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert "examples:" in text and f"chattts-onnx {command}".strip() in text


def test_examples_are_commands_that_parse() -> None:
    import shlex

    parser = cli.build_parser()
    count = 0
    for _, sub in completion._paths(parser):
        for line in (sub.epilog or "").splitlines():
            # What comes before or after in a pipe is another program's.
            part = next((p for p in line.split("|") if p.strip().startswith("chattts-onnx")), None)
            if part is not None:
                words = shlex.split(part, comments=True)
                parser.parse_args(words[1:])
                count += 1
    assert count > 15
