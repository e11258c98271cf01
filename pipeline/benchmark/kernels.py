"""What ONNX Runtime's kernels take, by operator, and products by their arithmetic."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.decoding.decoder import Decoder
from chattts_onnx.graphs.sessions import create_session, plain_providers, session_options
from chattts_onnx.text import Prompt
from pipeline.graphs.facts import GRAPHS, STEPS, UTTERANCES
from pipeline.graphs.products import EXECUTED, FORMS, SENTENCE, TIME
from pipeline.report.rows import Row, make_row

ON_THE_PATH = ("gpt", "decoder", "vocos")
"""Graphs that a sentence in a drawn voice runs through."""
PROMPT, RUNS = 64, 8


@dataclass(frozen=True)
class Kernels:
    """Means over runs of one graph.

    Attributes:
        run: milliseconds of a run.
        spent: those of its kernels, by operator, the largest first.
        calls: how often each operator ran.
    """

    run: float
    spent: Mapping[str, float]
    calls: Mapping[str, int]


def kernels(
    bundle: Bundle, graph: str, runs: int, work: Callable[[ort.InferenceSession], object]
) -> Kernels:
    """Kernels of the last ``runs`` runs of a graph that ``work`` makes.

    Args:
        bundle: whose graph is opened anew, under ONNX Runtime's profiler.
        graph: its name.
        runs: how many count; those before warm up.
        work: runs the session, ``runs`` times at least.
    """
    path = bundle.path / bundle.manifest.graph(graph).file
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(bundle.config)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / graph)
        session = create_session(path, str(path), plain_providers(bundle.config), options)
        work(session)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum_up(events, runs)


def sum_up(events: Sequence[Mapping[str, Any]], runs: int) -> Kernels:
    """Means over the last ``runs`` runs of a profile."""
    last = sorted((e for e in events if e["name"] == "model_run"), key=lambda e: e["ts"])[-runs:]
    spent: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        if event["ts"] >= last[0]["ts"] and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
            calls[event["args"]["op_name"]] += 1
    return Kernels(
        sum(event["dur"] for event in last) / len(last) / 1e3,
        {name: total / len(last) / 1e3 for name, total in spent.most_common()},
        {name: count // len(last) for name, count in calls.items()},
    )


def time_rows(variant: str, folder: Path, threads: int) -> Iterator[Row]:
    """Share of static, dynamic and float products in the time of all products.

    One row a form for each graph, and for a sentence: a step for each pair of frames, and what
    makes sound of them.  The steps are ONNX Runtime's, whose kernels tell what they take.
    """
    bundle = open_bundle(folder, threads=threads, verify=False, step="ort")
    times: dict[str, dict[str, float]] = {}
    for graph in GRAPHS:
        found = kernels(bundle, graph, RUNS, _work(bundle, graph)).spent
        times[graph] = dict.fromkeys(FORMS, 0.0)
        for operator, milliseconds in found.items():
            if operator in EXECUTED:
                times[graph][EXECUTED[operator]] += milliseconds
    weights = {graph: UTTERANCES * STEPS if graph == "gpt" else 1 for graph in ON_THE_PATH}
    times[SENTENCE] = {
        form: sum(times[graph][form] * weight for graph, weight in weights.items())
        for form in FORMS
    }
    for graph, by_form in times.items():
        total = sum(by_form.values())
        for form, milliseconds in by_form.items() if total else ():
            share = milliseconds / total
            yield make_row(variant, TIME, share, "of products' time", graph=graph, form=form)


def _work(bundle: Bundle, graph: str) -> Callable[[ort.InferenceSession], object]:
    """Runs of a graph over two utterances, or of the GPT steps behind a prompt."""
    facts, model = GRAPHS[graph], bundle.model

    def steps(session: ort.InferenceSession) -> None:
        decoder = Decoder(session, model, 1, PROMPT + 2 * RUNS)
        prompt = Prompt(np.ones((PROMPT, model.num_vq), np.int64), np.ones(PROMPT, np.bool_))
        decoder.prefill(0, [prompt], np.zeros((1, model.hidden_size), np.float32))
        for _ in range(RUNS):
            decoder.step(1)

    def whole(session: ort.InferenceSession) -> None:
        assert facts.random is not None
        feeds = {facts.input: facts.random(model, np.random.default_rng(0))}
        for _ in range(RUNS + 1):
            session.run(None, feeds)

    return steps if facts.random is None else whole
