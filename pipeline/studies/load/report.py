"""The report of the load test: JSON for machines, tables and a picture for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chattts_onnx.format.abilities import has_random_weights
from pipeline.report.gates import GateResult, gates_section
from pipeline.report.machine import machine_load
from pipeline.report.rows import select
from pipeline.report.write import (
    format_value,
    markdown_table,
    report_context,
    write_report,
)
from pipeline.studies.load.analysis import PERCENTILES, TALKS, run_rows, variant_name, verdicts
from pipeline.studies.load.config import LoadConfig
from pipeline.studies.load.measure import NAIVE, RAMP, SOAK, TALK, Run
from pipeline.studies.load.picture import draw_load

NOTES = """\
- Server and users run on the same cores: what the users' program takes is missing from the server.
- A user sends a request, reads the answer as fast as it comes, pauses, and sends the next. First
  audio is the time from sending to the first byte of sound, with HTTP and the way through the
  kernel; the whole answer is the time to its last byte.
- Of the users some write their texts over a WebSocket, 20 words a second, and hear them while they
  write: their first audio is counted from the word that ends the first clause.
- Under "Talking" one client alone talks to a server of one slot. The clause over HTTP and over the
  WebSocket is the same, of one seed, on open connections, and sounds the same byte for byte; over
  the WebSocket it counts from the sending of the word that ends it, while the rest is still being
  written. The ratio is the median of the rounds' own. A barge-in lasts from the sending of `cancel`
  until `/metrics` says that no slot is in use, which is asked without a pause, so it holds the time
  of an answer as well; a step is that of the clause over HTTP, its audio's decoding included.
- A stall is the time a player that starts at the first byte would stand still because sound comes
  later than it is played.
- `lock per request` is a naive server of the same bundle that streams, one request at a time.
- Memory is resident memory of the server's processes, twice a second; a minute's is its median.
- P99 of a short run with few requests is close to its slowest request."""
_METRICS = {
    "first audio": [f"first_audio_p{share}_seconds" for share in (50, 95, 99)],
    "whole answer": [f"total_p{share}_seconds" for share in (50, 95, 99)],
}


def report(path: Path, runs: Sequence[Run], config: LoadConfig) -> list[GateResult]:
    """Write ``path`` (.json), the Markdown and the picture; returns the gates' verdicts."""
    ordered = sorted(runs, key=lambda run: _place(run, config))
    judged = verdicts(ordered, config)
    rows = [row for run in ordered for row in run_rows(run)]
    target = next((r for r in ordered if r.target == config.gates.target), ordered[0])
    context = report_context(
        target.checkpoint,
        "CPUExecutionProvider",
        load=machine_load(),
        commit=max({run.code for run in ordered}, key=[run.code for run in ordered].count),
        users=config.users,
        websocket_users=config.websocket_users,
        spawn_rate=config.spawn_rate,
        seconds=config.seconds,
        soak_seconds=next((run.seconds for run in ordered if run.kind == SOAK), 0),
        pause_seconds=list(config.pause_seconds),
        targets={run.target: _served(run, config) for run in ordered},
        gates=[verdict.as_dict() for verdict in judged],
        runs={run.name: {"code": run.code, "bundle": run.bundle} for run in ordered},
        counters={run.name: run.metrics for run in ordered if run.metrics},
    )
    picture = path.with_suffix(".png")
    sections = _sections(ordered, rows, judged, picture.name)
    write_report(path, context, rows, title="Load test", sections=sections)
    draw_load(picture, ordered, config)
    return judged


def _place(run: Run, config: LoadConfig) -> tuple[int, int, bool]:
    names = [target.name for target in config.targets]
    known = names.index(run.target) if run.target in names else len(names)
    return ((RAMP, TALK, SOAK).index(run.kind), known, run.system == NAIVE)


def _served(run: Run, config: LoadConfig) -> dict[str, Any]:
    options = [t.server_options for t in config.targets if t.name == run.target]
    return {
        "server_options": " ".join(options[0] if options else []),
        "checkpoint": run.checkpoint.get("name"),
        "variant": run.checkpoint.get("variant"),
        "weights": "random" if has_random_weights(run.checkpoint) else "trained",
    }


def _sections(
    runs: Sequence[Run],
    rows: Sequence[Mapping[str, Any]],
    judged: Sequence[GateResult],
    picture: str,
) -> list[str]:
    """Markdown blocks before the metric tables; ``picture`` is a file beside the report."""
    random = sorted({run.target for run in runs if has_random_weights(run.checkpoint)})
    blocks = []
    if random:
        blocks.append(
            f"**Random weights** ({', '.join(random)}): utterances are cut off at their limit of "
            "steps; figures of speed and memory, not of speech."
        )
    blocks.append(gates_section(judged))
    for kind, title in ((RAMP, "Ramp"), (SOAK, "Soak")):
        chosen = [run for run in runs if run.kind == kind]
        if chosen:
            length = f"{chosen[0].seconds:g} s."
            blocks.append(f"## {title}\n\n{length}\n\n{_table(chosen, rows)}")
    if talks := [run for run in runs if run.kind == TALK]:
        blocks.append(f"## Talking\n\n{_talking(talks, rows)}")
    blocks.append(f"## What was run\n\n{_origins(runs)}")
    blocks.append(f"![the load test]({picture})")
    blocks.append(f"## How it is measured\n\n{NOTES}")
    return blocks


def _origins(runs: Sequence[Run]) -> str:
    """Which code and which bundle each run is of, since parts may be run on another day."""
    header = ["server", "run", "checkpoint", "variant", "bundle's manifest", "code"]
    lines = [
        [
            variant_name(run),
            run.kind,
            str(run.checkpoint.get("name")),
            str(run.checkpoint.get("variant")),
            run.bundle,
            run.code,
        ]
        for run in runs
    ]
    return markdown_table(header, lines)


def _table(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["server", "requests", "failed"]
    names = dict(_METRICS)
    if any(row["metric"] == "websocket_requests" for row in rows):
        names["WebSocket first audio"] = [
            f"websocket_first_audio_p{share}_seconds" for share in (50, 95, 99)
        ]
    for title in names:
        header += [f"{title} P{share}, s" for share in (50, 95, 99)]
    header += ["stall P99, s", "requests/s", "s of speech/s", "cores", "peak MB"]
    soak = any(run.kind == SOAK for run in runs)
    if soak:
        header += ["2nd minute MB", "last minute MB", "growth"]
    lines = []
    for run in runs:
        own = select(rows, variant=variant_name(run), run=run.kind)
        found = {row["metric"]: row["value"] for row in own}
        cells = [variant_name(run), *(format_value(found[m]) for m in ("requests", "failures"))]
        metrics = [metric for group in names.values() for metric in group]
        metrics += ["stall_p99_seconds", "requests_per_second", "speech_per_second"]
        cells += [format_value(found.get(metric)) for metric in [*metrics, "processor_use"]]
        cells.append(_megabytes(found.get("peak_memory_bytes")))
        if soak:
            cells += [_megabytes(found.get(f"memory_{m}_minute_bytes")) for m in ("second", "last")]
            growth = found.get("memory_growth")
            cells.append("–" if growth is None else f"{growth:+.1%}")
        lines.append(cells)
    return markdown_table(header, lines)


def _talking(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["server", "rounds"]
    header += [f"{kind} P{share}, ms" for kind in TALKS for share in PERCENTILES]
    metrics = [f"{name}_p{share}_seconds" for name in TALKS.values() for share in PERCENTILES]
    lines = []
    for run in runs:
        own = select(rows, variant=variant_name(run), run=run.kind)
        found = {row["metric"]: row["value"] for row in own}
        cells = [variant_name(run), str(len(run.requests) // len(TALKS))]
        cells += [f"{1000 * found[metric]:.1f}" for metric in [*metrics, "step_seconds"]]
        lines.append([*cells, f"{found['clause_over_http']:.2f}"])
    return markdown_table([*header, "a step, ms", "over a WebSocket / over HTTP"], lines)


def _megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.0f}"
