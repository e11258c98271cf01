"""Completion scripts, run by the shells that are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chattts_onnx import cli
from chattts_onnx.cli import completion

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


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
        (["chattts-onnx", "s"], ["say"]),
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


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_are_valid_where_the_shell_is_installed(tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    script = {"zsh": completion.zsh, "fish": completion.fish}[shell](cli.build_parser())
    source = tmp_path / "script"
    source.write_text(script, "utf-8")
    subprocess.run([program, "-n", str(source)], check=True)


@pytest.mark.parametrize("command", ["", "say", "voices", "doctor", "completion"])
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
