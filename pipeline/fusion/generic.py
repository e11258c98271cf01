"""What general optimizers make of an exported graph: ``python -m pipeline.fusion.generic``.

Evidence for writing rules of our own.  ``onnxruntime-tools`` is tried where it is installed (in an
environment of its own: its pins are from 2021).
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx


def ort_fusions(path: Path, num_heads: int, hidden_size: int) -> int:
    """Nodes left by ``onnxscript.rewriter.ort_fusions``; it finds heads and sizes by itself."""
    import onnx_ir as ir
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    result: Any = optimize_for_ort(ir.load(path))
    model = result[0] if isinstance(result, tuple) else result
    return int(model.graph.num_nodes())


def ort_transformers(path: Path, num_heads: int, hidden_size: int) -> int:
    """Nodes left by the GPT-2 optimizer of ``onnxruntime.transformers``; it has none for Llama."""
    from onnxruntime.transformers import optimizer

    return _gpt2(optimizer, path, num_heads, hidden_size)


def onnxruntime_tools(path: Path, num_heads: int, hidden_size: int) -> int:
    """Nodes left by the GPT-2 optimizer of ``onnxruntime-tools``."""
    from onnxruntime_tools import optimizer

    return _gpt2(optimizer, path, num_heads, hidden_size)


def _gpt2(optimizer: Any, path: Path, num_heads: int, hidden_size: int) -> int:
    sizes = {"num_heads": num_heads, "hidden_size": hidden_size}
    found = optimizer.optimize_model(str(path), model_type="gpt2", opt_level=0, **sizes)
    return len(found.model.graph.node)


OPTIMIZERS: dict[str, Callable[[Path, int, int], int]] = {
    # first: the next one's top-level modules shadow its own, and it can't be imported any more
    "onnxruntime-tools": onnxruntime_tools,
    "onnxruntime.transformers": ort_transformers,
    "onnxscript.rewriter.ort_fusions": ort_fusions,
}


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each optimizer: nodes before and after."""
    parser = argparse.ArgumentParser(description="Try general optimizers on the plain GPT graph.")
    parser.add_argument("graph", type=Path, nargs="?", default=Path("build/export/gpt.onnx"))
    path = parser.parse_args(arguments).graph
    graph = onnx.load(path, load_external_data=False).graph
    cache = next(v for v in graph.input if v.name.startswith("past_key_values."))
    heads, width = (cache.type.tensor_type.shape.dim[axis].dim_value for axis in (1, 3))
    for name, optimize in OPTIMIZERS.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                after = str(optimize(path, heads, heads * width))
        except ImportError:
            after = "not importable here"
        print(f"{name}: {len(graph.node)} nodes -> {after}")


if __name__ == "__main__":
    main()
