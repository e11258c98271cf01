"""What can be said of a block without running it: syntax, programs, options."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from chattts_onnx.cli import build_parser
from tests.pipeline.docs.blocks import Block
from tests.pipeline.docs.stand_ins import make

_BETWEEN = frozenset({"|", "||", "&&", ";", "&"})
_REDIRECTS = ("<", ">")


def faults(block: Block) -> Iterator[str]:
    """What is wrong with a block."""
    if block.language == "python":
        compile(block.code, f"line {block.line}", "exec")
        return
    done = subprocess.run(["bash", "-n", "-c", block.script], capture_output=True, text=True)
    if done.returncode:
        yield done.stderr
        return
    texts = [command.text for command in block.commands] or _lines(block.code)
    for text in texts:
        for words in _simple_commands(text):
            yield from _command_faults(words)


def _lines(script: str) -> list[str]:
    """A script's lines, up to the first here-document, with continued ones joined."""
    joined = script.partition("<<")[0].replace("\\\n", " ").replace("|\n", "| ")
    return joined.splitlines()


def _simple_commands(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in _BETWEEN:
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _command_faults(words: list[str]) -> Iterator[str]:
    while words and "=" in words[0] and words[0].partition("=")[0].isupper():
        words = words[1:]
    end = next((i for i, word in enumerate(words) if word[0] in _REDIRECTS), len(words))
    match words[:end]:
        case ["make", *arguments]:
            if wrong := make(arguments):
                yield wrong
        case ["chattts-onnx", *arguments]:
            if not _parses(arguments):
                yield f"chattts-onnx does not take {arguments}"
        case ["python" | ".venv/bin/python", "-m", module, *arguments]:
            yield from _module_faults(module, arguments)


def _parses(arguments: list[str]) -> bool:
    try:
        build_parser().parse_args(arguments)
    except (SystemExit, argparse.ArgumentError):
        return False
    return True


def _module_faults(module: str, arguments: list[str]) -> Iterator[str]:
    """A module's options stand in its source, or in its package's."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        yield f"no module {module}"
        return
    origin = Path(found.origin)
    sources = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    if module.partition(".")[0] in ("pipeline", "drills", "peer", "mini"):
        for option in (word.partition("=")[0] for word in arguments if word.startswith("--")):
            if f'"{option}"' not in text:
                yield f"python -m {module} has no {option}"
