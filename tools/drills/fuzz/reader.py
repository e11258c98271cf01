"""What is fuzzed: a reader, inputs that it takes, and how they are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Mutation = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Prepared:
    """A reader made ready in a folder of its own.

    Attributes:
        seeds: valid inputs.
        path: the file that holds an input when ``read`` is called; None where ``read`` takes the
            bytes alone.
        read: reads one input; what it returns does not matter.
    """

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    path: Path | None = None


@dataclass(frozen=True)
class Reader:
    """A reader of the project.

    Attributes:
        name: as ``--reader`` takes it.
        what: what is read, for the table of promises.
        prepare: makes it ready in an empty folder.
        mutate: a mutation that keeps most of the format intact.
        seconds: CPU time of this process that one input may take.
        memory: bytes that the process may grow by above its size with the seeds read.
        cost: how many times as long as others an input takes; so many fewer are tried.
    """

    name: str
    what: str
    prepare: Callable[[Path], Prepared]
    mutate: Mutation
    seconds: float = 5.0
    memory: int = 512 << 20
    cost: int = 1
