"""The parts of the README that are made from reports and from ``dvc.yaml``."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.benchmark.engine import REFERENCE
from pipeline.core.errors import ConfigError
from pipeline.docs.pipeline_graph import mermaid, read_stages
from pipeline.report.machine import busy_note
from pipeline.report.rows import Report, find_value, read_report, select, variants_of
from pipeline.report.write import markdown_table
from pipeline.speech.report import CONTROL_SUFFIX

FULL = "reports/seeded_full"
SHOWN = "int8"
SOUND = (
    ("dnsmos_p808", 2),
    ("word_error_rate", 1),
    ("dnsmos_p808_change", 3),
    ("word_error_rate_change", 1),
)
"""Metrics of the table of speech, with their decimals."""
_LOCKED = "lock per request"


def speed(root: Path) -> str:
    """Speed, memory and fidelity at full size, one line a variant."""
    benchmark = read_report(root / FULL / "benchmark.json")
    validation = read_report(root / FULL / "validation.json")
    lengths = [row["length"] for row in select(benchmark.rows, "steps_per_second")]
    decode = {"batch": 1, "length": min(lengths)}
    header = (
        "", "steps/s", "× PyTorch", "RTF", "first audio", "peak memory", "on disk",
        "same top-1 code",
    )  # fmt: skip
    lines = []
    for name in variants_of(benchmark.rows, "size_bytes"):
        steps = benchmark.value(name, "steps_per_second", **decode)
        ratio = find_value(benchmark.rows, name, "steps_per_second_ratio", **decode)
        agreement = find_value(validation.rows, name, "top1_agreement", head="all")
        lines.append(
            (
                "PyTorch FP32, eager" if name == REFERENCE else f"`{name}`",
                f"{steps:.0f}",
                f"{1.0 if ratio is None else ratio:.1f}",
                f"{benchmark.value(name, 'rtf', batch=1):.2f}",
                f"{benchmark.value(name, 'first_audio_seconds', batch=1):.2f} s",
                f"{benchmark.value(name, 'peak_memory_bytes') / 1e6:,.0f} MB",
                f"{benchmark.value(name, 'size_bytes') / 1e6:,.0f} MB",
                "–" if agreement is None else f"{agreement:.1%}",
            )
        )
    notes = [_wrapped(note) for note in busy_note(benchmark.context)]
    return "\n\n".join([_machine(benchmark), markdown_table(header, lines), *notes])


def _wrapped(sentence: str) -> str:
    return textwrap.fill(sentence, 100, break_long_words=False, break_on_hyphens=False)


def _machine(report: Report) -> str:
    machine = report.context["machine"]
    vnni = ", AVX-512 VNNI" if "avx512_vnni" in machine["isa"] else ""
    return _wrapped(
        f"The full-size model with **random weights**, batch 1, on {machine['cores']} cores of an "
        f"{machine['cpu']}{vnni} (real time is 46.9 steps/s; a sentence of 60 characters in 5.5 s "
        f"of audio{_commit(report)}):"
    )


def _commit(report: Report) -> str:
    """Which code a brought report is of."""
    commit = str(report.context.get("commit", ""))
    return f"; at commit {commit[:10]}" if commit else ""


def sound(root: Path) -> str:
    """What the variants of the trained small checkpoint sound like, by judges."""
    report = read_report(root / "reports/thorough/speech.json")
    lines = []
    for name in variants_of(report.rows, "word_error_rate"):
        label = f"`{name}`"
        if name.endswith(CONTROL_SUFFIX):
            label = f"`{name.removesuffix(CONTROL_SUFFIX)}`, other seeds"
        cells = [_interval(report, name, metric, digits) for metric, digits in SOUND]
        lines.append((label, *cells))
    header = (
        "", "predicted MOS [95 %]", "word errors, % [95 %]", "MOS against `fp32`",
        "word errors against `fp32`",
    )  # fmt: skip
    return markdown_table(header, lines)


def _interval(report: Report, name: str, metric: str, digits: int) -> str:
    sign = "+" if metric.endswith("_change") else ""
    if find_value(report.rows, name, metric) is None:
        return "–"
    row = report.row(name, metric)
    value, low, high = (f"{row[key]:{sign}.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low} … {high}]"


def peer(root: Path) -> str:
    """``int8`` beside the official package, in one sentence."""
    report = read_report(root / "reports/peer.json")
    length = max(row.get("length", 0) for row in report.rows)
    requests = max(row.get("requests", 0) for row in report.rows)
    steps = report.value(SHOWN, "steps_per_second_ratio", batch=1, length=length)
    sentence = 1 / report.value(SHOWN, "sentence_seconds_ratio", batch=1)
    first, theirs = (
        report.value(name, "first_audio_seconds", look_ahead=8) for name in (SHOWN, "official")
    )
    many = report.value(SHOWN, "throughput_steps_per_second_ratio", requests=requests)
    return _wrapped(
        f"Beside the official package on the same checkpoint: `{SHOWN}` makes {steps:.1f} times "
        f"its steps/s at length {length}, a sentence {sentence:.1f} times as fast, first audio "
        f"after {first:.2f} s instead of {theirs:.1f} s, and {many:.0f} times its throughput with "
        f"{requests} requests at once ([report](reports/peer.md)). "
        + " ".join(busy_note(report.context))
    )


def load(root: Path) -> str:
    """The server under load, in one sentence."""
    report = read_report(root / "reports/load.json")

    def value(name: str, metric: str, run: str = "ramp") -> float:
        return report.value(name, metric, run=run)

    ours, locked = (value(name, "first_audio_p99_seconds") for name in ("mini", f"mini, {_LOCKED}"))
    # of the full-size model where the run had it, which takes its bundle
    full = ""
    if any(row["variant"] == "seeded_full" for row in report.rows):
        fast, slow = (
            value(name, "speech_per_second") for name in ("seeded_full", f"seeded_full, {_LOCKED}")
        )
        full = f"; the full-size model makes {fast:.1f} s of speech a second against {slow:.1f} s"
    users = report.context["users"]
    minutes = report.context["soak_seconds"] / 60
    growth = value("mini", "memory_growth", run="soak")
    return _wrapped(
        f"Under load: with {users} users P99 of first audio is {ours:.2f} s on `mini` "
        f"({locked:.2f} s with one lock around the bundle){full}. Memory changed by "
        f"{growth:+.1%} over a soak of {minutes:.0f} minutes, the last one against the second "
        "([report](reports/load.md))."
    )


def stages(root: Path) -> str:
    """The picture of the stages."""
    return mermaid(read_stages(root))


PARTS: dict[str, Callable[[Path], str]] = {
    "speed": speed,
    "sound": sound,
    "peer": peer,
    "load": load,
    "stages": stages,
}


def fill(text: str, root: Path, parts: Sequence[str] = tuple(PARTS)) -> str:
    """``text`` with what lies between ``<!-- NAME: … -->`` and ``<!-- end -->`` made anew.

    Raises:
        ConfigError: a part has no place in the text.
        PipelineError: a figure of it has no row in a report.
    """
    for name in parts:
        before, mark, rest = text.partition(f"<!-- {name}: python -m pipeline.docs -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (mark and end):
            raise ConfigError(f"README.md: found no place for {name!r}, expected its two comments")
        text = f"{before}{mark}{PARTS[name](root)}\n{end}{after}"
    return text
