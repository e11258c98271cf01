"""The comparison with the official package for people: tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.report.figure import Panel, draw_panels
from pipeline.report.write import format_value, markdown_table

OFFICIAL = "official"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Goal:
    """A figure that a variant should reach.

    Attributes:
        variant: the bundle.
        text: what is asked, for people.
        metric: the rows' metric.
        limit: at least, or at most where ``most`` is set.
        where: conditions of the row.
        most: the limit is an upper one.
    """

    variant: str
    text: str
    metric: str
    limit: float
    where: Mapping[str, Any]
    most: bool = False


# Set for two cores without VNNI; this machine's row says what it has.
_AT_512, _SHORT = {"length": 512}, {"look_ahead": 8}
GOALS = (
    Goal("int8", "steps/s at 512, × official", "steps_per_second_ratio", 8.0, _AT_512),
    Goal("w4", "steps/s at 512, × official", "steps_per_second_ratio", 13.0, _AT_512),
    Goal("int8", "RTF of the sentence", "rtf", 0.7, {}, most=True),
    Goal("w4", "RTF of the sentence", "rtf", 0.5, {}, most=True),
    Goal("int8", "first audio, × official", "first_audio_seconds_ratio", 0.12, _SHORT, most=True),
    Goal("w4", "first audio, × official", "first_audio_seconds_ratio", 0.12, _SHORT, most=True),
    Goal("int8", "peak memory, × official", "peak_memory_bytes_ratio", 0.35, {}, most=True),
)
SCALING = 2.0
"""At least as many steps/s with 8 requests as with 1, this many times."""

NOTES = """\
- One process an engine, all on the same checkpoint and number of threads; engines take turns, and
  values are medians over rounds. `×` columns divide by the official package's figure of the same
  round.
- `official` is the package of PyPI in its own environment (see `peer/`), run as it is; `reference`
  is this project's FP32 PyTorch code, run eagerly; the others are bundles.
- Requests of the concurrent measurement all come at once. The official package and the reference
  serve them one after the other, the bundles in one batch.
- The share of the bandwidth limit is steps/s times the bytes of weights that a step reads, divided
  by the memory bandwidth measured in this run.
- Errors are the largest absolute ones under teacher forcing, on the same prompts, codes and
  speaker, against the official package's own outputs; `scale` is the largest official output."""


def peer_sections(rows: Rows, context: Mapping[str, Any], config: BenchmarkConfig) -> list[str]:
    """Markdown blocks of ``peer.md``."""
    blocks = []
    if context["checkpoint"].get("weights") == "random":
        blocks.append("**Random weights**: figures of speed, memory and size, not of speech.")
    load, cores = context.get("load"), context["machine"].get("cores", 1)
    if load is not None and load > cores / 2:
        blocks.append(f"**Busy machine**: {load:g} processes wanted its {cores} cores.")
    rate = context["memory_bytes_per_second"] / 1e9
    blocks += [
        f"## Goals\n\n{_goals(rows)}\n\nWhat bounds a step: `profile.md`.",
        f"## Speed\n\n{_speed(rows, config)}",
        f"## One sentence\n\n{len(config.sentence)} characters, {config.sentence_steps} steps.\n\n"
        f"{_sentence(rows)}",
        f"## Concurrent requests\n\n{_concurrent(rows, config)}",
        f"## Share of the memory-bandwidth limit\n\nMeasured: {rate:.1f} GB/s.\n\n"
        f"{_bandwidth(rows, config)}",
        f"## Against the official outputs\n\n{_parity(rows)}",
        f"## How it is measured\n\n{NOTES}",
    ]
    return blocks


def draw_peer(path: Path, rows: Rows, config: BenchmarkConfig) -> None:
    """Draw ``peer.png``."""

    def chosen(metric: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["metric"] == metric]

    throughput, waiting = chosen("throughput_steps_per_second"), chosen("first_audio_p95_seconds")
    draw_panels(
        path,
        "Beside the official package",
        [
            Panel("steps per second by length", chosen("steps_per_second"), group="length"),
            Panel("× official by length", chosen("steps_per_second_ratio"), group="length"),
            Panel("real-time factor of a sentence", chosen("rtf")),
            Panel("throughput by requests", throughput, group="requests"),
            Panel("first audio P95 by requests", waiting, group="requests", log=True),
            Panel("peak memory", chosen("peak_memory_bytes")),
        ],
    )  # fmt: skip


def _goals(rows: Rows) -> str:
    lines = []
    for goal in GOALS:
        found = _value(rows, goal.variant, goal.metric, **goal.where)
        lines.append(_goal_line(goal.variant, goal.text, found, goal.limit, goal.most))
    for variant in dict.fromkeys(goal.variant for goal in GOALS):
        one, eight = (
            _value(rows, variant, "throughput_steps_per_second", requests=count) for count in (1, 8)
        )
        found = eight / one if one and eight else None
        lines.append(_goal_line(variant, "8 requests, × steps/s of one", found, SCALING, False))
    return markdown_table(["variant", "what", "found", "asked", "reached"], lines)


def _goal_line(variant: str, text: str, found: float | None, limit: float, most: bool) -> list[str]:
    asked = f"{'≤' if most else '≥'} {format_value(limit)}"
    if found is None:
        return [variant, text, "–", asked, "–"]
    reached = found <= limit if most else found >= limit
    return [variant, text, format_value(found), asked, "yes" if reached else "no"]


def _variants(rows: Rows) -> list[str]:
    return list(dict.fromkeys(str(row["variant"]) for row in rows))


def _value(rows: Rows, variant: str, metric: str, **conditions: Any) -> float | None:
    wanted = {"variant": variant, "metric": metric, **conditions}
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            return float(row["value"])
    return None


def _cell(value: float | None) -> str:
    return "–" if value is None else format_value(value)


def _speed(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", f"prefill of {config.prompt_tokens}, s", "×"]
    for length in config.lengths:
        header += [f"steps/s at {length}", "×"]
    lines = []
    for variant in _variants(rows):
        cells = [variant]
        for metric in ("prefill_seconds", "prefill_seconds_ratio"):
            cells.append(_cell(_value(rows, variant, metric)))
        for length in config.lengths:
            for metric in ("steps_per_second", "steps_per_second_ratio"):
                cells.append(_cell(_value(rows, variant, metric, length=length)))
        lines.append(cells)
    return markdown_table(header, lines)


def _sentence(rows: Rows) -> str:
    header = [
        "engine", "RTF", "×", "first audio, s", "×", "first audio, short look-ahead, s", "×",
        "peak memory, MB", "×", "size, MB", "×",
    ]  # fmt: skip
    look_ahead = next((row["look_ahead"] for row in rows if row.get("look_ahead")), None)
    lines = []
    for variant in _variants(rows):
        cells = [variant]
        for suffix in ("", "_ratio"):
            cells.append(_cell(_value(rows, variant, f"rtf{suffix}")))
        for conditions in ({"batch": 1}, {"look_ahead": look_ahead}):
            for suffix in ("", "_ratio"):
                cells.append(
                    _cell(_value(rows, variant, f"first_audio_seconds{suffix}", **conditions))
                )
        for metric in ("peak_memory_bytes", "size_bytes"):
            value = _value(rows, variant, metric)
            cells.append("–" if value is None else f"{value / 1e6:,.0f}")
            cells.append(_cell(_value(rows, variant, f"{metric}_ratio", baseline=OFFICIAL)))
        lines.append(cells)
    return markdown_table(header, lines)


def _concurrent(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", "requests", "steps/s, all", "× official", "P50, s", "P95, s", "P99, s"]
    lines = []
    for variant in _variants(rows):
        for requests in config.concurrency:
            metrics = (
                "throughput_steps_per_second",
                "throughput_steps_per_second_ratio",
                *(f"first_audio_p{p}_seconds" for p in (50, 95, 99)),
            )
            values = [_value(rows, variant, metric, requests=requests) for metric in metrics]
            lines.append([variant, str(requests), *map(_cell, values)])
    return markdown_table(header, lines)


def _bandwidth(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", *(f"at {length}" for length in config.lengths)]
    lines = []
    for variant in _variants(rows):
        shares = [_value(rows, variant, "bandwidth_share", length=n) for n in config.lengths]
        lines.append([variant, *("–" if s is None else f"{s:.0%}" for s in shares)])
    return markdown_table(header, lines)


def _parity(rows: Rows) -> str:
    outputs = list(dict.fromkeys(str(r["output"]) for r in rows if r["metric"] == "max_error"))
    header = ["engine", *outputs, "top-1"]
    lines = []
    for variant in _variants(rows):
        errors = [_value(rows, variant, "max_error", output=output) for output in outputs]
        if any(error is not None for error in errors):
            agreement = _value(rows, variant, "top1_agreement")
            lines.append([variant, *map(_cell, errors), _cell(agreement)])
    scales = {str(r["output"]): float(r["scale"]) for r in rows if r["metric"] == "max_error"}
    lines.append(["scale", *(_cell(scales[output]) for output in outputs), ""])
    return markdown_table(header, lines)
