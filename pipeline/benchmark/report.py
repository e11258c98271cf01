"""The benchmark's report: context, the source article's table, and the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import REFERENCE
from pipeline.report.figure import Panel, draw_panels
from pipeline.report.machine import busy_note
from pipeline.report.rows import find_value, select, variants_of
from pipeline.report.write import format_value, markdown_table

HEADER = (
    "engine",
    "peak memory",
    "sentences/s",
    "first packet",
    "steps/s",
    "RTF",
    "sentence",
    "size on disk",
    "steps/s × reference",
)

NOTES = """\
- `steps_per_second` counts the steps of all sequences of a batch, GPT and sampling included; real
  time is 46.875 steps/s a sequence. `length` is the number of positions in the cache when the
  timed steps begin.
- The sentence measurements go from text to waveform in a fixed number of steps, so that neither
  weights nor sampling decide how much work there is. `rtf` is seconds of work for a second of
  audio, over all sequences of the batch.
- `first_audio_seconds` is measured on a stream. The reference follows the official schedule: 24
  steps a time, everything decoded again, the first two results thrown away.
- `peak_memory_bytes` is the high-water mark of the engine's own process over all measurements,
  libraries included; `size_bytes` is what lies on disk.
- Values are medians over rounds in which the engines take turns; ratios are medians of the ratios
  within a round. In brackets: lowest and highest."""


def article_table(rows: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> str:
    """The comparison of the source article, one engine a line, at batch 1."""
    return markdown_table(HEADER, [_line(rows, name, config) for name in variants_of(rows)])


def _line(rows: Sequence[Mapping[str, Any]], engine: str, config: BenchmarkConfig) -> list[str]:
    def value(metric: str, **conditions: Any) -> float | None:
        return find_value(rows, engine, metric, **conditions)

    length = config.lengths[0] if config.lengths else None
    decode = {"batch": 1, "length": length}
    ratio = 1.0 if engine == REFERENCE else value("steps_per_second_ratio", **decode)
    return [
        engine,
        _megabytes(value("peak_memory_bytes")),
        format_value(value("sentences_per_second", batch=1)),
        _milliseconds(value("first_audio_seconds", batch=1)),
        format_value(value("steps_per_second", **decode)),
        format_value(value("rtf", batch=1)),
        _milliseconds(value("sentence_seconds", batch=1)),
        _megabytes(value("size_bytes")),
        format_value(ratio),
    ]


def verdict(rows: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> str:
    """Which variant decodes fastest, in one line."""
    decode = {"batch": 1, "length": config.lengths[0] if config.lengths else None}
    speeds = {
        name: speed
        for name in variants_of(rows)
        if (speed := find_value(rows, name, "steps_per_second", **decode)) is not None
    }
    if not speeds:
        return "**No decoding was timed.**"
    best = max(speeds, key=lambda name: speeds[name])
    ratio = find_value(rows, best, "steps_per_second_ratio", **decode)
    against = "" if ratio is None else f", {ratio:.3g} times those of eager PyTorch"
    return f"**`{best}` is the fastest: {speeds[best]:.3g} steps/s at batch 1{against}.**"


def sections(
    rows: Sequence[Mapping[str, Any]], context: Mapping[str, Any], config: BenchmarkConfig
) -> list[str]:
    """Markdown blocks of ``reports/benchmark.md``."""
    blocks = [verdict(rows, config)]
    if context["checkpoint"].get("weights") == "random":
        blocks.append(
            "**Random weights**: the checkpoint is seeded, so these are figures of speed, memory "
            "and size. They say nothing of speech."
        )
    blocks += busy_note(context)
    sentence = (
        f"One sentence of {len(config.sentence)} characters in {config.sentence_steps} steps, "
        f"batch 1, {context['threads']} threads:"
    )
    blocks.append(f"## Comparison\n\n{sentence}\n\n{article_table(rows, config)}")
    blocks.append(f"## How it is measured\n\n{NOTES}")
    return blocks


def draw_benchmark(path: Path, rows: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> None:
    """Draw ``reports/benchmark.png``."""
    length = config.lengths[0] if config.lengths else None
    steps = select(rows, "steps_per_second", length=length)
    sentences = select(rows, "sentences_per_second")
    first = select(rows, "first_audio_seconds", batch=1)
    panels = [
        Panel(f"steps per second, length {length}", steps, group="batch", better="higher"),
        Panel("sentences per second", sentences, group="batch", better="higher"),
        Panel("real-time factor", select(rows, "rtf"), group="batch", better="lower"),
        Panel("first audio", first, better="lower"),
        Panel("peak memory", select(rows, "peak_memory_bytes"), better="lower"),
        Panel("size on disk", select(rows, "size_bytes"), better="lower"),
    ]
    draw_panels(path, "Benchmark", panels)


def _megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.1f} MB"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e3:,.1f} ms"
