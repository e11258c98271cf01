"""Runs the blocks of a page in a folder, in order, with servers stopped at the end."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.process import Process
from tests.pipeline.docs.blocks import Block

# For a broken program, not for a slow machine.
PATIENCE = 240.0
_PORT = re.compile(r"((?:127\.0\.0\.1:|0\.0\.0\.0:|localhost:|--port |-p ))(\d{4})\b")
_MARK = "@@command "


@dataclass
class Page:
    """A page's folder and environment.

    Ports that it names are replaced by free ones, and ``words`` by those that fit the folder.
    """

    name: str
    folder: Path
    environment: Mapping[str, str]
    words: Mapping[str, str] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)

    def run(self, blocks: list[Block]) -> None:
        """Run what is to be run; an AssertionError names the line that fails."""
        environment = {**self.environment, "CHATTTS_PORT": self.port("8000")}
        with ExitStack() as stack:
            for block in blocks:
                if block.not_run:
                    continue
                where = f"{self.name}:{block.line}"
                if block.keeps_running:
                    self._start(block, environment, where, stack)
                else:
                    self._finish(block, environment, where)

    def port(self, named: str) -> str:
        """The free port that stands for a named one, on this page."""
        if named not in self.ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports[named] = str(free.getsockname()[1])
        return self.ports[named]

    def _here(self, text: str) -> str:
        for word, other in self.words.items():
            text = text.replace(word, other)
        return _PORT.sub(lambda found: found[1] + self.port(found[2]), text)

    def _finish(self, block: Block, environment: dict[str, str], where: str) -> None:
        if block.language == "python":
            command = [sys.executable, "-c", self._here(block.code)]
        else:
            command = ["bash", "-euo", "pipefail", "-c", self._here(_marked(block))]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{done.stdout}"
        printed = re.split(rf"^{_MARK}\d+\n", done.stdout, flags=re.MULTILINE)[1:]
        for typed, found in zip(block.commands, printed, strict=block.language == "console"):
            assert _shows(self._here(typed.output), found), f"{where}: {typed.text}\n{found}"

    def _start(
        self, block: Block, environment: dict[str, str], where: str, stack: ExitStack
    ) -> None:
        """Start a server and wait until it prints the last line that the page shows."""
        shown = self._here(block.commands[-1].output.strip().splitlines()[-1])
        awaited = re.compile(_pattern(shown), re.MULTILINE)
        command = ["bash", "-euo", "pipefail", "-c", self._here(block.script)]
        process = stack.enter_context(Process(command, environment, self.folder, grace=PATIENCE))
        deadline = time.monotonic() + PATIENCE
        while not awaited.search(text := process.output + process.errors):
            if process.status is not None or time.monotonic() > deadline:
                raise AssertionError(f"{where}: never printed {shown!r}:\n{text}")
            time.sleep(0.05)


def _marked(block: Block) -> str:
    """The script, with a line before the output of each command."""
    if block.language != "console":
        return block.code
    return "\n".join(
        f"printf '\\n{_MARK}{index}\\n'\n{command.text}"
        for index, command in enumerate(block.commands)
    )


def _shows(expected: str, found: str) -> bool:
    """Whether output is what the page shows; ``...`` stands for anything."""
    if not expected.strip():
        return True
    return re.fullmatch(_pattern(expected.strip()), found.strip(), re.DOTALL) is not None


def _pattern(shown: str) -> str:
    return ".*".join(re.escape(part) for part in shown.split("..."))
