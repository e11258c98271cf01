"""Stage ``checkpoint``: weights of any origin -> ``build/checkpoint`` in the official layout.

What was taken, from where and with which hashes stands in ``build/checkpoint/checkpoint.json``.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipeline.checkpoint.build import build
from pipeline.checkpoint.dims import converted_tensors, ignored_tensors, load_dims
from pipeline.config import Params
from pipeline.stages._runner import stage_main


def run(params: Params, workspace: Path) -> None:
    """Build ``build/checkpoint`` below ``workspace`` from ``params.checkpoint``."""
    destination = workspace / "build" / "checkpoint"
    record = build(params.checkpoint, params.seed, destination)
    dims = load_dims(destination)
    size = sum(file.bytes for file in record.files.values())
    console = Console(stderr=True)
    console.print(
        f"{record.name} from {record.source}: {len(record.files)} files, {size / 1e6:.1f} MB, "
        f"{dims.num_hidden_layers} layers of {dims.hidden_size}"
    )
    for name, types in converted_tensors(destination).items():
        counts = ", ".join(f"{count} tensors of {kind}" for kind, count in types.items())
        how = "rounded to the nearest" if "F64" in types else "widened exactly to"
        console.print(f"{name}: {counts} {how} float32", markup=False)
    for name, tensors in ignored_tensors(destination).items():
        console.print(f"{name}: ignored {', '.join(tensors)}", markup=False)


if __name__ == "__main__":
    stage_main("checkpoint", run)
