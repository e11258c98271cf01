"""The report of :mod:`pipeline.studies.profile` for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.machine import busy_note
from pipeline.report.rows import Rows, find_value, select, variants_of
from pipeline.report.write import format_value, markdown_table

OURS = ("native", "library", "attended")
THEIRS = ("whole", "products", "attention", "others", "between", "host")

NOTES = """\
- `native` is a step as users wait for it where the compiled library runs it, median over steps,
  and `library` its call, sampling included; the rest is bookkeeping. `attended` is what that call
  takes longer than one over 16 positions. `of limit` is `weights` and `cache` divided by
  `library`: the share of what memory gives that the library reaches. The columns from `whole` to
  `host` are of ONNX Runtime's step.
- `whole` is a step as users wait for it, median over steps; `host` is what is left of it outside
  ONNX Runtime's run: sampling and bookkeeping. The four columns between come from a second run
  under ONNX Runtime's profiler, which slows it: `products` are all MatMuls, `attention` is
  GroupQueryAttention, `between` is time in the run without a kernel.
- `weights` and `cache` are the bytes that a step has to read, divided by the bandwidth that a sum
  over 1 GiB reached on the same threads; no step can be faster than both together.
- `from cache` is the time of the same number of multiplications by the same kernels with weights
  that stay in the CPU's cache: what arithmetic and starting the kernels cost without memory.
- `GB/s` is the rate at which ONNX Runtime's `products` read their weights.
- `× threads` says how many times as fast a step is with all threads as with one."""


def profile_sections(rows: Rows, context: Mapping[str, Any]) -> list[str]:
    """Markdown blocks of ``profile.md``."""
    rate = context["memory_bytes_per_second"] / 1e9
    cases = list(dict.fromkeys((row["requests"], row["length"]) for row in rows))
    blocks = busy_note(context)
    blocks.append(f"Memory: {rate:.1f} GB/s with {context['threads']} threads.")
    for requests, length in cases:
        table = _table(rows, {"requests": requests, "length": length})
        blocks.append(f"## {requests} at once, {length} positions: ms a step\n\n{table}")
    blocks.append(f"## Weights that a step reads: MB\n\n{_parts(rows, *cases[0])}")
    return [*blocks, f"## How it is measured\n\n{NOTES}"]


def _parts(rows: Rows, requests: int, length: int) -> str:
    found = select(rows, "weight_part_bytes", requests=requests, length=length)
    parts = list(dict.fromkeys(row["part"] for row in found))
    lines = []
    for variant in variants_of(found):
        sizes = [find_value(found, variant, "weight_part_bytes", part=part) for part in parts]
        megabytes = [(size or 0) / 1e6 for size in sizes]
        lines.append([variant, *map(format_value, [*megabytes, sum(megabytes)])])
    return markdown_table(["variant", *parts, "all"], lines)


def _table(rows: Rows, where: Mapping[str, Any]) -> str:
    header = ["variant", *OURS, "weights", "cache", "of limit", *THEIRS, "from cache", "GB/s"]
    header.append("× threads")
    lines = []
    for variant in variants_of(rows):

        def value(metric: str, variant: str = variant, **further: str) -> float | None:
            return find_value(rows, variant, metric, **where, **further)

        ours = [value("step_ms", part=part) for part in OURS]
        theirs = [value("step_ms", part=part) for part in THEIRS]
        memory = [value("memory_ms", read=name) for name in ("weights", "cache")]
        share = sum(part or 0 for part in memory) / ours[1] if ours[1] else None
        cached = value("cached_products_ms")
        weights, products = value("weight_bytes"), theirs[1]
        rate = weights / products / 1e6 if weights and products else None
        gain = value("thread_gain")
        numbers = [*ours, *memory, share, *theirs, cached, rate, gain]
        lines.append([variant, *map(format_value, numbers)])
    return markdown_table(header, lines)
