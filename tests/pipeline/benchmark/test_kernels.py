"""Kernels' times from ONNX Runtime's profile, and the share of each form of product in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark.kernels import sum_up, time_rows
from pipeline.graphs.facts import GRAPHS
from pipeline.graphs.products import FORMS, SENTENCE


def event(name: str, ts: int, dur: int, op: str = "") -> dict[str, object]:
    category = "Node" if op else "Session"
    return {"name": name, "cat": category, "ts": ts, "dur": dur, "args": {"op_name": op}}


def test_only_the_last_runs_of_a_profile_count() -> None:
    events = [
        event("model_run", 0, 900),
        event("a_kernel_time", 1, 800, "MatMul"),
        event("model_run", 1000, 100),
        event("a_kernel_time", 1001, 60, "MatMul"),
        event("a_fence_before", 1002, 500, "MatMul"),
        event("model_run", 2000, 200),
        event("a_kernel_time", 2001, 100, "MatMul"),
        event("b_kernel_time", 2102, 20, "Add"),
    ]
    found = sum_up(events, 2)
    assert found.run == pytest.approx(0.15)
    assert found.spent == pytest.approx({"MatMul": 0.08, "Add": 0.01})
    assert found.calls == {"MatMul": 1, "Add": 0}


def test_shares_of_each_graph_and_of_a_sentence(bundle_folder: Path) -> None:
    """All is float here; what the tiny bundle's graphs do without a product has no row."""
    rows = list(time_rows("fp32", bundle_folder, 1))
    shares = {(row["graph"], row["form"]): row["value"] for row in rows}
    assert {graph for graph, _ in shares} <= {*GRAPHS, SENTENCE}
    for graph in ("gpt", SENTENCE):
        assert [shares[graph, form] for form in FORMS] == [0, 0, 1]
