from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import Timing
from pipeline.benchmark.harness import Runner, Samples, progress_total, run_rounds
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.report import article_table, draw_benchmark, sections
from pipeline.benchmark.summary import summarize
from pipeline.core.errors import ConfigError
from pipeline.report.rows import find_value


class Machine:
    """Engines that take a known time; a step costs 1/speed, audio is 0.5 s."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def engine(self, name: str, speeds: list[float], size: int) -> Runner:
        machine = self

        class Engine:
            description: dict[str, Any] = {"size_bytes": size, "provider": "p"}  # noqa: RUF012
            count = 0

            def measure(self, call: str, arguments: dict[str, Any]) -> Timing:
                machine.calls.append((name, call, arguments))
                speed = speeds[self.count % len(speeds)]
                self.count += 1
                steps = int(arguments.get("steps", 1))
                return Timing(steps / speed, 0.5, steps, [steps / speed])

            def peak_memory(self) -> int:
                return 10 * size

        return Engine()


def run(config: BenchmarkConfig, limit: float = 1e9) -> tuple[Machine, Samples]:
    machine = Machine()
    workers = {
        "reference": machine.engine("reference", [10.0], 1000),
        "fp32": machine.engine("fp32", [20.0], 900),
        "int8": machine.engine("int8", [1.0, 40.0, 60.0], 225),
    }
    return machine, run_rounds(workers, make_plan(config), config.rounds, limit)


def test_plan_holds_each_condition_once(config: BenchmarkConfig) -> None:
    calls = [(m.call, m.batch) for m in make_plan(config)]
    assert calls == [
        ("prefill", 1), ("decode", 1), ("decode", 2), ("first_audio", 1), ("first_audio", 1),
        ("sentence", 1), ("sentence", 2), ("concurrent", 1),
    ]  # fmt: skip


def test_rounds_alternate_and_reverse(config: BenchmarkConfig) -> None:
    machine, _ = run(config)
    order = [name for name, call, _ in machine.calls if call == "prefill"]
    warmup, first, second = order[:3], order[3:6], order[6:]
    assert warmup == first == ["reference", "fp32", "int8"]
    assert second == ["int8", "fp32", "reference"]
    assert len(machine.calls) == progress_total(3, make_plan(config), config.rounds)


def test_warmup_is_short_and_not_counted(config: BenchmarkConfig) -> None:
    long = replace(config, sentence_steps=100)
    machine, samples = run(long)
    steps = [a["steps"] for name, call, a in machine.calls if (name, call) == ("fp32", "sentence")]
    assert steps[:3] == [16, 100, 100]
    assert [len(timings["fp32"]) for timings in samples.timings] == [2] * len(samples.plan)


def test_a_slow_engine_is_measured_once_and_not_repeated(config: BenchmarkConfig) -> None:
    # 8 steps take the reference 0.8 s and fp32 0.4 s.
    _, samples = run(replace(config, rounds=3, concurrency=[]), limit=0.5)
    sentence = samples.timings[-1]
    assert len(sentence["reference"]) == 1
    assert len(sentence["fp32"]) == 2
    rows = summarize(samples)
    (row,) = [
        r for r in rows
        if r["variant"] == "fp32" and r["metric"] == "rtf_ratio" and r["batch"] == 2
    ]  # fmt: skip
    assert row["repeats"] == 1


def test_metrics_by_hand(config: BenchmarkConfig) -> None:
    rows = summarize(run(config)[1])
    # 3 steps at 20 steps/s, two sequences at once.
    assert find_value(rows, "fp32", "steps_per_second", batch=1) == pytest.approx(20.0)
    assert find_value(rows, "fp32", "steps_per_second", batch=2) == pytest.approx(40.0)
    assert find_value(rows, "fp32", "sentence_seconds", batch=1) == pytest.approx(0.4)
    assert find_value(rows, "fp32", "rtf", batch=1) == pytest.approx(0.8)
    assert find_value(rows, "fp32", "sentences_per_second", batch=2) == pytest.approx(5.0)
    assert find_value(rows, "int8", "peak_memory_bytes") == 2250
    assert find_value(rows, "int8", "size_bytes_ratio", baseline="fp32") == 0.25
    assert find_value(rows, "int8", "peak_memory_bytes_ratio", baseline="reference") == 0.225


def test_median_range_and_paired_ratio(config: BenchmarkConfig) -> None:
    # int8 warms up at speed 1 (not counted), then takes 40 and 60 by turns.
    rows = summarize(run(config)[1])
    (row,) = [r for r in rows if r["variant"] == "int8" and r["metric"] == "prefill_seconds"]
    assert row["value"] == pytest.approx((1 / 40 + 1 / 60) / 2)
    assert (row["min"], row["max"], row["repeats"]) == (1 / 60, 1 / 40, 2)
    (ratio,) = [
        r for r in rows if r["variant"] == "fp32" and r["metric"] == "prefill_seconds_ratio"
    ]
    assert ratio["value"] == pytest.approx(0.5)
    assert ratio["baseline"] == "reference"
    assert not [r for r in rows if r["variant"] == "reference" and r["metric"].endswith("_ratio")]


def test_without_a_reference_there_are_no_ratios_to_it(config: BenchmarkConfig) -> None:
    machine = Machine()
    workers = {"fp32": machine.engine("fp32", [20.0], 900)}
    rows = summarize(run_rounds(workers, make_plan(config), 1, 1e9))
    assert not [row for row in rows if row["metric"].endswith("_ratio")]


def test_table_of_the_source_article(config: BenchmarkConfig, tmp_path: Path) -> None:
    rows = summarize(run(config)[1])
    table = article_table(rows, config).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["reference", "fp32", "int8"]
    assert [cell.strip() for cell in table[3].split("|")[3:9]] == [
        "2.5", "400.0 ms", "20", "0.8", "400.0 ms", "0.0 MB",
    ]  # fmt: skip
    context: dict[str, Any] = {"checkpoint": {"weights": "random"}, "threads": 2}
    assert "is the fastest" in sections(rows, context, config)[0]
    assert "Random weights" in sections(rows, context, config)[1]
    assert "Random" not in sections(rows, {**context, "checkpoint": {}}, config)[1]
    busy = sections(rows, {**context, "load": 1.8, "machine": {"cores": 2}}, config)
    assert "1.8 processes wanted its 2 cores" in busy[2]
    draw_benchmark(tmp_path / "benchmark.png", rows, config)
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "rounds"),
        ({"batches": [1, 0]}, "batches"),
        ({"sentence": " "}, "sentence is empty"),
        ({"variants": [], "reference": False}, "no engine"),
    ],
)
def test_impossible_settings_are_refused(
    config: BenchmarkConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(config, **change)
