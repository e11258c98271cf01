"""Carries out a Dockerfile without a container: below a folder, with its absolute paths mapped."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
    labels: dict[str, str] = field(default_factory=dict)
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
        self._global: dict[str, str] = {}
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
        """A text of the Dockerfile with the image's absolute paths below the stage's folder.

        Only what stands there: paths of this machine that come in by variables stay as they are.
        """
        return MADE.sub(f"{self.stage.root}/", text)

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        return {**self.base_environment, **self._declared, **self.stage.environment}

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
        given = self.arguments.get(name, default.strip('"'))
        (self._declared if self._stage else self._global)[name] = given

    def _from(self, value: str) -> None:
        # Arguments end with their stage; those before the first FROM are for FROM alone.
        self._declared = dict(self._global)
        base, _, name = self._substituted(value).partition(" AS ")
        # This machine is the only platform.
        base = base.removeprefix("--platform= ")
        if base in self.stages:
            self._stage = replace(self.stages[base], name=name, ran=[])
            self._stage.environment = dict(self.stages[base].environment)
        else:
            root = self.folder / name
            (root / "tmp").mkdir(parents=True)
            self._stage = Stage(name, base, root)
        self.stages[name] = self._stage
        self._declared = {}

    def _shell(self, value: str) -> None:
        self.stage.shell = json.loads(value)

    def _env(self, value: str) -> None:
        for entry in shlex.split(value):
            name, _, text = entry.partition("=")
            self.stage.environment[name] = self._substituted(self.mapped(text))

    def _workdir(self, value: str) -> None:
        self.stage.workdir = value
        self._path(value).mkdir(parents=True, exist_ok=True)

    def _copy(self, value: str) -> None:
        words = [self._substituted(word) for word in value.split()]
        source_root, keep = self.context, Ignore.of(self.context).keeps
        if words[0].startswith("--from="):
            source_root = self.stages[words.pop(0).removeprefix("--from=")].root
            keep = lambda _: True  # noqa: E731
        *sources, target = words
        destination = self._path(
            target if target.startswith("/") else f"{self.stage.workdir}/{target}"
        )
        for source in sources:
            found = source_root / source.lstrip("/")
            assert found.exists(), f"COPY {source}: not there"
            inside = found.relative_to(source_root).as_posix()
            if found.is_dir():
                _copy_tree(source_root, found, destination, keep)
            else:
                assert target.endswith("/"), f"COPY {value}: a folder needs a / at its end"
                assert keep(inside), f"COPY {source}: .dockerignore leaves it out"
                destination.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, destination)

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

    def _label(self, value: str) -> None:
        pairs = (entry.partition("=") for entry in shlex.split(value))
        self.stage.labels |= {name: self._substituted(text) for name, _, text in pairs}


@dataclass(frozen=True)
class Ignore:
    """A ``.dockerignore``: patterns from the context's root, the last one that fits decides."""

    rules: tuple[tuple[bool, re.Pattern[str]], ...]

    @classmethod
    def of(cls, context: Path) -> Ignore:
        """The one of a context."""
        lines = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
        given = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return cls(tuple((not line.startswith("!"), _pattern(line.lstrip("!"))) for line in given))

    def keeps(self, path: str) -> bool:
        """Whether a file or folder goes to the builder."""
        ignored = False
        for ignore, pattern in self.rules:
            if pattern.match(path):
                ignored = ignore
        return not ignored


def _pattern(text: str) -> re.Pattern[str]:
    """What a line fits: the path, or a folder above it."""
    parts = re.split(r"(\*\*/?|\*|\?)", text.strip("/"))
    forms = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(forms.get(p, re.escape(p)) for p in parts) + r"(?:/|\Z)")


def sent(context: Path) -> Iterator[Path]:
    """All files of a context that a builder gets."""
    keeps = Ignore.of(context).keeps
    for folder, _, names in os.walk(context):
        for name in names:
            path = Path(folder) / name
            if keeps(path.relative_to(context).as_posix()):
                yield path


def _copy_tree(root: Path, source: Path, destination: Path, keep: Callable[[str], bool]) -> None:
    """A folder's content, without what ``.dockerignore`` leaves out."""
    destination.mkdir(parents=True, exist_ok=True)
    for folder, _, names in os.walk(source):
        for name in names:
            path = Path(folder) / name
            if keep(path.relative_to(root).as_posix()):
                target = destination / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
