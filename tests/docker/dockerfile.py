"""Carries out a Dockerfile without a container: below a folder, with its absolute paths mapped."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# Absolute paths that a stage makes; others (/bin/bash, /dev/null) are the machine's own.
MADE = re.compile(r"(?<![\w.$}/-])/(?=(?:src|out|opt|tmp)\b)")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    line: int
    word: str
    value: str


@dataclass
class Stage:
    """What one ``FROM`` began: a folder in place of an image's file system."""

    name: str
    base: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    user: str = "root"
    ran: list[str] = field(default_factory=list)


def parse(text: str) -> list[Instruction]:
    """All instructions, comments left out."""
    found: list[Instruction] = []
    held, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = start or number
        held += line.rstrip("\\").strip() + " " if line.endswith("\\") else line.strip()
        if not line.endswith("\\"):
            word, _, value = held.partition(" ")
            found.append(Instruction(start, word.upper(), value.strip()))
            held, start = "", 0
    return found


class Builder:
    """Runs every instruction of a Dockerfile; an unknown one is an error, so none is left out.

    ``context`` is what ``COPY`` without ``--from`` sees, ``arguments`` are build arguments and
    ``environment`` is what an image of the base would have (a Python on PATH).
    """

    def __init__(
        self, context: Path, folder: Path, arguments: dict[str, str], environment: dict[str, str]
    ) -> None:
        self.context = context
        self.folder = folder
        self.arguments = arguments
        self.base_environment = environment
        self.stages: dict[str, Stage] = {}
        self._declared: dict[str, str] = {}
        self._stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        assert self._stage is not None, "an instruction before FROM"
        return self._stage

    def build(self, dockerfile: Path) -> Stage:
        """The last stage, as far as it can be had without a container."""
        for instruction in parse(dockerfile.read_text(encoding="utf-8")):
            handler = getattr(self, f"_{instruction.word.lower()}", None)
            assert handler is not None, f"line {instruction.line}: {instruction.word} is not known"
            handler(instruction.value)
        return self.stage

    def mapped(self, text: str) -> str:
        """A command with the stage's absolute paths below its folder."""
        return MADE.sub(f"{self.stage.root}/", text)

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        mapped = {key: self.mapped(value) for key, value in self.stage.environment.items()}
        return {**self.base_environment, **self._declared, **mapped}

    def run(self, command: list[str]) -> str:
        """Run to the end in the stage's folder and return what was printed."""
        done = subprocess.run(
            command,
            cwd=self._path(self.stage.workdir),
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise AssertionError(f"{shlex.join(command)} failed:\n{done.stdout}")
        return done.stdout

    def _path(self, path: str) -> Path:
        return self.stage.root / path.lstrip("/")

    def _substituted(self, text: str) -> str:
        known = {**self._declared, **self.stage.environment} if self._stage else self._declared

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            base = self.base_environment.get(name, "")
            return known.get(name, base)

        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)

    def _arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        self._declared[name] = self.arguments.get(name, default.strip('"'))

    def _from(self, value: str) -> None:
        base, _, name = self._substituted(value).partition(" AS ")
        root = self.folder / name
        (root / "tmp").mkdir(parents=True)
        self._stage = self.stages[name] = Stage(name, base, root)
        # Arguments end with their stage.
        self._declared = {k: v for k, v in self._declared.items() if k == "PYTHON"}

    def _shell(self, value: str) -> None:
        self.stage.shell = json.loads(value)

    def _env(self, value: str) -> None:
        for entry in shlex.split(value):
            name, _, text = entry.partition("=")
            self.stage.environment[name] = self._substituted(text)

    def _workdir(self, value: str) -> None:
        self.stage.workdir = value
        self._path(value).mkdir(parents=True, exist_ok=True)

    def _copy(self, value: str) -> None:
        words = [self._substituted(word) for word in value.split()]
        source_root, ignored = self.context, self._ignored()
        if words[0].startswith("--from="):
            source_root, ignored = self.stages[words.pop(0).removeprefix("--from=")].root, []
        *sources, target = words
        destination = self._path(
            target if target.startswith("/") else f"{self.stage.workdir}/{target}"
        )
        for source in sources:
            found = source_root / source.lstrip("/")
            assert found.exists(), f"COPY {source}: not there"
            if found.is_dir():
                _copy_tree(found, destination, ignored if found == self.context else [])
            else:
                assert target.endswith("/"), f"COPY {value}: a folder needs a / at its end"
                destination.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, destination)

    def _ignored(self) -> list[str]:
        lines = (self.context / ".dockerignore").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    def _run(self, value: str) -> None:
        shell = self.stage.shell
        if Path("/opt/build").exists() or Path("/opt/chattts").exists():
            raise AssertionError(
                "a path of the image is on this machine; the mapping would hide it"
            )
        self.run([*shell, self.mapped(value)])
        self.stage.ran.append(value)

    def _user(self, value: str) -> None:
        self.stage.user = value

    def _expose(self, value: str) -> None:
        assert value.isdecimal()

    def _stopsignal(self, value: str) -> None:
        assert value == "SIGTERM"

    def _healthcheck(self, value: str) -> None:
        self.stage.healthcheck = json.loads(value[value.index("CMD ") + 4 :])

    def _cmd(self, value: str) -> None:
        self.stage.command = json.loads(value)


def _copy_tree(source: Path, destination: Path, ignored: list[str]) -> None:
    """A folder's content, without what ``.dockerignore`` names."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        out = set()
        for name in names:
            path = (Path(folder) / name).relative_to(source).as_posix()
            for pattern in ignored:
                subject = name if pattern.startswith("**/") else path
                if fnmatch.fnmatch(subject, pattern.removeprefix("**/")):
                    out.add(name)
        return out

    shutil.copytree(source, destination, ignore=left_out, dirs_exist_ok=True)
