"""The comparison with the official package for people: tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.report.figure import Panel, draw_panels
from pipeline.report.gates import GateConfig, GateResult, gates_section, judge, verdict_line
from pipeline.report.machine import busy_note
from pipeline.report.rows import Rows, find_value, make_row, select, variants_of
from pipeline.report.write import format_value, markdown_table

OFFICIAL = "official"


# Set for two cores; the other goal for a step, a share of what memory gives, is in steps.md.
SCALING = "throughput_scaling"
_AT_512, _SHORT, _OFFICIAL = {"length": "512"}, {"look_ahead": "8"}, {"baseline": OFFICIAL}
_BOTH = [
    GateConfig("first_audio_seconds", "max", 0.2, _SHORT),
    GateConfig(SCALING, "min", 2.5),
]
GOALS = {
    "int8": [
        GateConfig("steps_per_second_ratio", "min", 12.0, _AT_512),
        GateConfig("rtf", "max", 0.4),
        GateConfig("peak_memory_bytes_ratio", "max", 0.35, _OFFICIAL),
        *_BOTH,
    ],
    "w4": [
        GateConfig("steps_per_second_ratio", "min", 20.0, _AT_512),
        GateConfig("rtf", "max", 0.28),
        *_BOTH,
    ],
}
"""What variants should reach; nothing stops where they do not."""

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
    goals = _goals(rows)
    blocks = [verdict_line(goals)]
    if context["checkpoint"].get("weights") == "random":
        blocks.append("**Random weights**: figures of speed, memory and size, not of speech.")
    blocks += busy_note(context)
    rate = context["memory_bytes_per_second"] / 1e9
    blocks += [
        gates_section(goals) + "\n\nWhat bounds a step: `profile.md`.",
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
    throughput = select(rows, "throughput_steps_per_second")
    waiting = select(rows, "first_audio_p95_seconds")
    ratios = select(rows, "steps_per_second_ratio")
    draw_panels(
        path,
        "Beside the official package",
        [
            Panel("steps per second", select(rows, "steps_per_second"), "length", False, "higher"),
            Panel("steps/s × official", ratios, "length", False, "higher"),
            Panel("real-time factor of a sentence", select(rows, "rtf"), better="lower"),
            Panel("throughput by requests", throughput, group="requests", better="higher"),
            Panel("first audio P95 by requests", waiting, "requests", True, "lower"),
            Panel("peak memory", select(rows, "peak_memory_bytes"), better="lower"),
        ],
    )  # fmt: skip


def _goals(rows: Rows) -> list[GateResult]:
    """Verdicts on :data:`GOALS`; scaling is steps/s of 8 requests over those of one."""
    derived = []
    for variant in GOALS:
        one, eight = (
            find_value(rows, variant, "throughput_steps_per_second", requests=n) for n in (1, 8)
        )
        if one and eight:
            derived.append(make_row(variant, SCALING, eight / one, "×"))
    return judge([*rows, *derived], GOALS, "peer/report.py", partial=True)


def _speed(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", f"prefill of {config.prompt_tokens}, s", "×"]
    for length in config.lengths:
        header += [f"steps/s at {length}", "×"]
    lines = []
    for variant in variants_of(rows):
        cells = [variant]
        for metric in ("prefill_seconds", "prefill_seconds_ratio"):
            cells.append(format_value(find_value(rows, variant, metric)))
        for length in config.lengths:
            for metric in ("steps_per_second", "steps_per_second_ratio"):
                cells.append(format_value(find_value(rows, variant, metric, length=length)))
        lines.append(cells)
    return markdown_table(header, lines)


def _sentence(rows: Rows) -> str:
    header = [
        "engine", "RTF", "×", "first audio, s", "×", "first audio, short look-ahead, s", "×",
        "peak memory, MB", "×", "size, MB", "×",
    ]  # fmt: skip
    look_ahead = next((row["look_ahead"] for row in rows if row.get("look_ahead")), None)
    lines = []
    for variant in variants_of(rows):
        cells = [variant]
        for suffix in ("", "_ratio"):
            cells.append(format_value(find_value(rows, variant, f"rtf{suffix}")))
        for where in ({"batch": 1}, {"look_ahead": look_ahead}):
            for metric in ("first_audio_seconds", "first_audio_seconds_ratio"):
                cells.append(format_value(find_value(rows, variant, metric, **where)))
        for metric in ("peak_memory_bytes", "size_bytes"):
            value = find_value(rows, variant, metric)
            cells.append("–" if value is None else f"{value / 1e6:,.0f}")
            cells.append(
                format_value(find_value(rows, variant, f"{metric}_ratio", baseline=OFFICIAL))
            )
        lines.append(cells)
    return markdown_table(header, lines)


def _concurrent(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", "requests", "steps/s, all", "× official", "P50, s", "P95, s", "P99, s"]
    lines = []
    for variant in variants_of(rows):
        for requests in config.concurrency:
            metrics = (
                "throughput_steps_per_second",
                "throughput_steps_per_second_ratio",
                *(f"first_audio_p{p}_seconds" for p in (50, 95, 99)),
            )
            values = [find_value(rows, variant, metric, requests=requests) for metric in metrics]
            lines.append([variant, str(requests), *map(format_value, values)])
    return markdown_table(header, lines)


def _bandwidth(rows: Rows, config: BenchmarkConfig) -> str:
    header = ["engine", *(f"at {length}" for length in config.lengths)]
    lines = []
    for variant in variants_of(rows):
        shares = [find_value(rows, variant, "bandwidth_share", length=n) for n in config.lengths]
        lines.append([variant, *("–" if s is None else f"{s:.0%}" for s in shares)])
    return markdown_table(header, lines)


def _parity(rows: Rows) -> str:
    outputs = list(dict.fromkeys(str(r["output"]) for r in rows if r["metric"] == "max_error"))
    header = ["engine", *outputs, "top-1"]
    lines = []
    for variant in variants_of(rows):
        errors = [find_value(rows, variant, "max_error", output=output) for output in outputs]
        if any(error is not None for error in errors):
            agreement = find_value(rows, variant, "top1_agreement")
            lines.append([variant, *map(format_value, errors), format_value(agreement)])
    scales = {str(r["output"]): float(r["scale"]) for r in rows if r["metric"] == "max_error"}
    lines.append(["scale", *(format_value(scales[output]) for output in outputs), ""])
    return markdown_table(header, lines)
