"""What is fuzzed: a reader, inputs that it takes, and how they are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Prepared:
    """A reader made ready in a folder of its own.

    Attributes:
        seeds: valid inputs.
        read: reads one input; what it returns does not matter.
    """

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]

    @classmethod
    def of_file(
        cls, path: Path, seeds: Iterable[bytes], read: Callable[[Path], object]
    ) -> Prepared:
        """One that reads inputs from the file ``path``."""

        def read_file(data: bytes) -> None:
            path.write_bytes(data)
            read(path)

        return cls(tuple(seeds), read_file)


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


READERS: dict[str, Reader] = {}
"""All readers, by name."""


def reader(
    name: str, what: str, *mutations: Mutation, **bounds: Any
) -> Callable[[Callable[[Path], Prepared]], Callable[[Path], Prepared]]:
    """Register what prepares a reader; each input is changed by one of ``mutations``."""

    def mutate(data: bytes, random: Random) -> bytes:
        return random.choice(mutations)(data, random)

    def register(prepare: Callable[[Path], Prepared]) -> Callable[[Path], Prepared]:
        chosen = mutate if len(mutations) > 1 else mutations[0]
        READERS[name] = Reader(name, what, prepare, chosen, **bounds)
        return prepare

    return register
