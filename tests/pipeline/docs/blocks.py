"""Fenced blocks of Markdown pages, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
KEEPS_RUNNING = "<!-- keeps running -->"
LANGUAGES = ("console", "sh", "bash", "python")
_OPEN = re.compile(r"```(\w*)$")


@dataclass(frozen=True)
class Block:
    """Code that a reader may run.

    Attributes:
        line: number of its first line of code, from 1.
        language: one of :data:`LANGUAGES`.
        code: its text.
        not_run: why it can't be run here; empty where it is.
        keeps_running: it serves until it is stopped.
    """

    line: int
    language: str
    code: str
    not_run: str
    keeps_running: bool

    @property
    def commands(self) -> list[Command]:
        """What is typed, one after the other; of other languages than console none."""
        return list(_commands(self.code)) if self.language == "console" else []

    @property
    def script(self) -> str:
        """A console block's commands, or the code as it stands."""
        if self.language != "console":
            return self.code
        return "\n".join(command.text for command in self.commands)


@dataclass(frozen=True)
class Command:
    """What is typed after a prompt, and what the page shows as its output."""

    text: str
    output: str


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a page that hold commands."""
    return list(_blocks(path.read_text(encoding="utf-8").splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    row = 0
    while row < len(lines):
        opened = _OPEN.match(lines[row])
        if not opened:
            row += 1
            continue
        end = lines.index("```", row + 1)
        if opened[1] in LANGUAGES:
            marker = lines[row - 1] if row else ""
            reason = NOT_RUN.fullmatch(marker)
            code = "\n".join(lines[row + 1 : end])
            keeps = marker == KEEPS_RUNNING
            yield Block(row + 2, opened[1], code, reason[1] if reason else "", keeps)
        row = end + 1


def _commands(code: str) -> Iterator[Command]:
    typed: list[str] = []
    shown: list[str] = []
    for line in code.splitlines():
        if typed and not shown and _goes_on(typed[-1]):
            typed.append(line)
        elif line.startswith("$ "):
            if typed:
                yield Command("\n".join(typed), "\n".join(shown))
            typed, shown = [line.removeprefix("$ ")], []
        else:
            assert typed, f"output without a command: {line!r}"
            shown.append(line)
    if typed:
        yield Command("\n".join(typed), "\n".join(shown))


def _goes_on(line: str) -> bool:
    return line.rstrip().endswith(("\\", "|", "&&"))
