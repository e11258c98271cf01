"""Inputs bred by a coverage-guided fuzzer: those that reach new code become parents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

from tools.drills.fuzz.mutations import MAX_BYTES
from tools.drills.fuzz.reader import Prepared, Reader

_OWN_MUTATIONS = 0.5
# Inputs that hang in native code are ended by the campaign, which watches all readers alike.
_OPTIONS = ("-timeout=600", "-rss_limit_mb=0", "-print_final_stats=1", f"-max_len={MAX_BYTES}")


def instrument() -> None:
    """Count the branches of this project's modules; to be called before they are imported."""
    from importlib import import_module

    with atheris.instrument_imports(include=["chattts_onnx", "pipeline"]):
        import_module("tools.drills.fuzz.readers")


def breed(
    reader: Reader,
    prepared: Prepared,
    search: Callable[[bytes], None],
    inputs: int,
    seed: int,
    folder: Path,
) -> None:
    """Give ``inputs`` inputs to ``search``; the process ends with the last."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for index, data in enumerate(prepared.seeds):
        (corpus / str(index)).write_bytes(data)

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < _OWN_MUTATIONS:
            return reader.mutate(data, random)[:longest]
        changed: bytes = atheris.Mutate(data, longest)
        return changed

    # what it finds slow it would leave in the working folder
    own = (f"-runs={inputs}", f"-seed={seed}", f"-artifact_prefix={folder}/")
    arguments = ["fuzz", str(corpus), *own, *_OPTIONS]
    atheris.Setup(arguments, search, custom_mutator=mutate)
    atheris.Fuzz()
