"""The report of :mod:`pipeline.studies.profile` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.write import format_value, markdown_table

Rows = Sequence[Mapping[str, Any]]

PARTS = ("native", "library", "whole", "products", "attention", "others", "between", "host")

NOTES = """\
- `native` is a step as users wait for it where the compiled library runs it, median over steps,
  and `library` the time inside it; the rest is sampling and bookkeeping. All other columns are of
  ONNX Runtime's step.
- `whole` is a step as users wait for it, median over steps; `host` is what is left of it outside
  ONNX Runtime's run: sampling and bookkeeping. The four columns between come from a second run
  under ONNX Runtime's profiler, which slows it: `products` are all MatMuls, `attention` is
  GroupQueryAttention, `between` is time in the run without a kernel.
- `weights` and `cache` are the bytes that a step has to read, divided by the bandwidth that a sum
  over 1 GiB reached on the same threads; no step can be faster than both together.
- `from cache` is the time of the same number of multiplications by the same kernels with weights
  that stay in the CPU's cache: what arithmetic and starting the kernels cost without memory.
- `GB/s` is the rate at which `products` read their weights.
- `× threads` says how many times as fast a step is with all threads as with one."""


def profile_sections(rows: Rows, context: Mapping[str, Any]) -> list[str]:
    """Markdown blocks of ``profile.md``."""
    rate = context["memory_bytes_per_second"] / 1e9
    cases = list(dict.fromkeys((row["requests"], row["length"]) for row in rows))
    blocks = []
    load, cores = context.get("load"), context.get("machine", {}).get("cores", 1)
    if load is not None and load > cores / 2:
        blocks.append(f"**Busy machine**: {load:g} processes wanted its {cores} cores.")
    blocks.append(f"Memory: {rate:.1f} GB/s with {context['threads']} threads.")
    for requests, length in cases:
        table = _table(rows, {"requests": requests, "length": length})
        blocks.append(f"## {requests} at once, {length} positions: ms a step\n\n{table}")
    return [*blocks, f"## How it is measured\n\n{NOTES}"]


def _table(rows: Rows, where: Mapping[str, Any]) -> str:
    header = ["variant", *PARTS, "weights", "cache", "from cache", "GB/s", "× threads"]
    lines = []
    for variant in dict.fromkeys(str(row["variant"]) for row in rows):
        chosen = {"variant": variant, **where}
        parts = [_value(rows, "step_ms", part=part, **chosen) for part in PARTS]
        memory = [_value(rows, "memory_ms", read=name, **chosen) for name in ("weights", "cache")]
        cached = _value(rows, "cached_products_ms", **chosen)
        weights, products = _value(rows, "weight_bytes", **chosen), parts[1]
        rate = weights / products / 1e6 if weights and products else None
        gain = _value(rows, "thread_gain", **chosen)
        numbers = [*parts, *memory, cached, rate, gain]
        lines.append([variant, *map(format_value, numbers)])
    return markdown_table(header, lines)


def _value(rows: Rows, metric: str, **conditions: Any) -> float | None:
    wanted = {"metric": metric, **conditions}
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            return float(row["value"])
    return None
