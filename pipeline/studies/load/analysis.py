"""Figures of runs as report rows, and whether they keep the gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np

from pipeline.report.gates import GateConfig, GateResult, judge
from pipeline.report.rows import Row, make_row
from pipeline.studies.load.config import LoadConfig
from pipeline.studies.load.measure import CONTINUOUS, RAMP, SOAK, TALK, Run
from pipeline.studies.load.talking import BARGE_IN, CLAUSE_HTTP, CLAUSE_WEBSOCKET

CONFIG = "conf/load"
PERCENTILES = (50, 95, 99)
WEBSOCKET = "websocket"
TALKS = {CLAUSE_WEBSOCKET: "clause_websocket", CLAUSE_HTTP: "clause_http", BARGE_IN: "barge_in"}
"""Kinds of records of a talk: beginnings of metrics' names."""


def percentile(values: Sequence[float], share: int) -> float | None:
    """The smallest value that ``share`` percent of ``values`` do not exceed; None of none."""
    if not values:
        return None
    return float(np.percentile(np.asarray(values), share, method="inverted_cdf"))


def run_rows(run: Run) -> list[Row]:
    """Rows of one run; the variant is target and system."""
    if run.kind == TALK:
        return _talk_rows(run)
    good = [request for request in run.requests if request["error"] is None]
    where = {"run": run.kind}
    rows: list[Row] = []

    def add(metric: str, value: float | None, unit: str) -> None:
        if value is not None:
            rows.append(make_row(variant_name(run), metric, value, unit, **where))

    for key in ("first_audio", "total", "stall"):
        for share in PERCENTILES:
            add(f"{key}_p{share}_seconds", percentile([r[key] for r in good], share), "s")
    written = [request for request in run.requests if request.get("kind") == WEBSOCKET]
    if written:
        talked = [r["first_audio"] for r in written if r["error"] is None]
        for share in PERCENTILES:
            add(f"websocket_first_audio_p{share}_seconds", percentile(talked, share), "s")
        add("websocket_requests", len(written), "")
    spent = wall_seconds(run)
    speech = sum(request["bytes"] for request in good) / 2 / run.sample_rate
    add("requests", len(run.requests), "")
    add("failures", len(run.requests) - len(good), "")
    add("requests_per_second", len(good) / spent, "1/s")
    add("speech_per_second", speech / spent, "s/s")
    add("processor_use", processor_use(run), "cores")
    add("peak_memory_bytes", max(sample[1] for sample in run.server), "B")
    if run.kind == SOAK:
        for name, minute in (("second", 1), ("last", -1)):
            add(f"memory_{name}_minute_bytes", memory_of_minute(run, minute), "B")
        add("memory_growth", memory_growth(run), "")
    return rows


def _talk_rows(run: Run) -> list[Row]:
    taken: dict[str, list[float]] = {}
    for request in run.requests:
        taken.setdefault(request["kind"], []).append(request["first_audio"])
    pairs = zip(taken[CLAUSE_WEBSOCKET], taken[CLAUSE_HTTP], strict=True)
    steps = [request["step"] for request in run.requests if "step" in request]
    values = [
        (f"{name}_p{share}_seconds", percentile(taken[kind], share), "s")
        for kind, name in TALKS.items()
        for share in PERCENTILES
    ]
    values += [
        ("clause_over_http", median(live / alone for live, alone in pairs), ""),
        ("step_seconds", median(steps), "s"),
    ]
    return [
        make_row(variant_name(run), metric, value, unit, run=run.kind)
        for metric, value, unit in values
        if value is not None
    ]


def variant_name(run: Run) -> str:
    """Column of a run in tables."""
    return run.target if run.system == CONTINUOUS else f"{run.target}, {run.system}"


def wall_seconds(run: Run) -> float:
    """From the first request's sending to the last byte."""
    first = min(request["at"] for request in run.requests)
    return max(request["at"] + request["total"] for request in run.requests) - first


def processor_use(run: Run) -> float | None:
    """Cores that the server kept busy on average."""
    (begin, _, before), (end, _, after) = run.server[0], run.server[-1]
    return (after - before) / (end - begin) if end > begin else None


def memory_of_minute(run: Run, minute: int) -> float | None:
    """Median resident bytes of a minute of the soak, counted from 0; -1 is the last whole one."""
    if minute < 0:
        begin, end = run.seconds - 60, run.seconds
    else:
        begin, end = 60 * minute, 60 * (minute + 1)
    values = [memory for at, memory, _ in run.server if begin <= at < end]
    return float(np.median(values)) if values else None


def memory_growth(run: Run) -> float | None:
    """Share by which the soak's last minute takes more memory than its second."""
    second, last = memory_of_minute(run, 1), memory_of_minute(run, -1)
    return None if second is None or last is None else last / second - 1


def verdicts(runs: Iterable[Run], config: LoadConfig) -> list[GateResult]:
    """The gates of ``config`` over the product's runs of their target."""
    gates = config.gates
    limits = [
        GateConfig("failures", "max", gates.failures),
        GateConfig("first_audio_p99_seconds", "max", gates.first_audio_p99_seconds, {"run": RAMP}),
        GateConfig("clause_over_http", "max", gates.clause_over_http, {"run": TALK}),
        GateConfig("memory_growth", "max", gates.memory_growth, {"run": SOAK}),
    ]
    rows = [row for run in runs for row in run_rows(run)]
    return judge(rows, {gates.target: limits}, CONFIG, partial=True)
