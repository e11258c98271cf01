"""The search by itself: a model of losses stands for graphs and ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.quantization.config import Int8Config
from pipeline.search.evaluate import BudgetSpentError, Measured
from pipeline.search.greedy import Greedy
from pipeline.search.journal import Journal
from pipeline.search.space import (
    BLOCKS,
    FLOAT,
    STATIC,
    LayerInfo,
    cost,
    everything_quantized,
    form_of,
    key_of,
    with_form,
)

BASE = Int8Config("cpu-avx2", "percentile", 99.99, ["MatMul", "Conv"], ["*istft*"], True, True)
LAYERS = [LayerInfo("gpt", f"layers.{i}.proj/MatMul", "MatMul", 1000, f"x{i}") for i in range(8)]
# what a layer adds to the loss as static INT8; two of them do nearly all the harm
HARM = [0.01, 0.4, 0.01, 0.02, 0.9, 0.01, 0.03, 0.01]
SHARE = {STATIC: 1.0, BLOCKS: 0.1, FLOAT: 0.0}


class FakeEvaluator:
    """Losses add up over layers; a float cache takes a tenth away."""

    def __init__(self, limit: float, journal: Journal | None = None, budget: int = 10**9) -> None:
        self.limit, self.journal, self.budget = limit, journal, budget
        self.measured: list[str] = []

    def component_layers(self, component: str) -> list[LayerInfo]:
        return LAYERS

    def loss(self, config: Int8Config) -> float:
        total = sum(
            harm * SHARE[form_of(config, layer)] for layer, harm in zip(LAYERS, HARM, strict=True)
        )
        return total * (1.0 if config.cache.bits else 0.9)

    def measure(self, config: Int8Config, component: str, step: str) -> Measured:
        def measure() -> dict[str, Any]:
            if len(self.measured) >= self.budget:
                raise BudgetSpentError("spent")
            self.measured.append(step)
            loss = self.loss(config)
            row = {"variant": "int8", "metric": "kl_divergence", "value": loss, "unit": "nat"}
            violation = max(0.0, loss - self.limit) / self.limit
            return {"rows": [row], "violation": violation, "cost": cost(config, LAYERS),
                    "seconds": 0.0, "step": step}  # fmt: skip

        key = key_of(config, ["gpt"], component)
        entry = self.journal.get(key, measure) if self.journal else measure()
        return Measured(config, entry["rows"], entry["violation"], entry["cost"])


def search(evaluator: FakeEvaluator) -> Greedy:
    return Greedy(evaluator, BASE, ["gpt"], "effect")  # type: ignore[arg-type]


def forms(config: Int8Config) -> list[str]:
    return [form_of(config, layer) for layer in LAYERS]


def test_nothing_is_given_up_where_gates_are_kept() -> None:
    """Everything quantized is the cheapest."""
    evaluator = FakeEvaluator(limit=2.0)
    outcome = search(evaluator).run()
    assert outcome.passed == {"gpt": True}
    assert forms(outcome.config) == [STATIC] * 8
    assert evaluator.measured == ["start", "result"]


class ChainEvaluator(FakeEvaluator):
    """``a+b`` is stricter than ``a`` alone, and both hold the same layers."""

    def measure(self, config: Int8Config, component: str, step: str) -> Measured:
        self.limit = 0.25 if component == "gpt" else 0.6
        return super().measure(config, component, step)


def test_what_one_component_needed_is_not_taken_back_for_another() -> None:
    """The second, laxer component would do without what the first one fell back to."""
    components = ["gpt", "gpt+vocos"]
    outcome = Greedy(ChainEvaluator(0.0), BASE, components, "effect").run()  # type: ignore[arg-type]
    assert outcome.passed == {"gpt": True, "gpt+vocos": True}
    assert forms(outcome.config).count(BLOCKS) == 2


def test_only_the_harmful_layers_fall_back() -> None:
    """Two layers do the harm: those become blocks, after the repair that helps is adopted."""
    outcome = search(FakeEvaluator(limit=0.25)).run()
    assert outcome.passed == {"gpt": True}
    assert outcome.config.cache.bits is None
    expected = [STATIC] * 8
    expected[1] = expected[4] = BLOCKS
    assert forms(outcome.config) == expected


def test_float_where_blocks_are_not_enough() -> None:
    """The next rung of the ladder is taken, for as many layers as need it."""
    outcome = search(FakeEvaluator(limit=0.03)).run()
    assert outcome.passed == {"gpt": True}
    assert FLOAT in forms(outcome.config)
    cheaper = [
        with_form(outcome.config, layer, form)
        for layer in LAYERS
        for form in layer.ladder[: layer.ladder.index(form_of(outcome.config, layer))]
    ]
    assert cheaper
    assert all(FakeEvaluator(0.03).loss(config) > 0.03 for config in cheaper)


def test_impossible_gates_are_said() -> None:
    """Even all in float would break a limit below zero."""
    outcome = search(FakeEvaluator(limit=-1.0)).run()
    assert outcome.passed == {"gpt": False}


def test_a_killed_search_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """What was measured is not measured again, and the result is that of an unbroken run."""
    whole = FakeEvaluator(0.25, Journal(tmp_path / "whole.jsonl", {"a": 1}))
    expected = search(whole).run().config
    path = tmp_path / "broken.jsonl"
    first = FakeEvaluator(0.25, Journal(path, {"a": 1}), budget=5)
    assert search(first).run().spent == "spent"
    with path.open("a") as file:
        file.write('{"n": 6, "key": "cut of')
    second = FakeEvaluator(0.25, Journal(path, {"a": 1}))
    outcome = search(second).run()
    assert outcome.config == expected
    assert len(first.measured) + len(second.measured) == len(whole.measured)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_the_log_of_another_search_is_refused(tmp_path: Path) -> None:
    """Measurements of other inputs mean nothing here; damage is named with its line."""
    Journal(tmp_path / "log.jsonl", {"seed": 1})
    with pytest.raises(PipelineError, match="found the log of a search with other inputs"):
        Journal(tmp_path / "log.jsonl", {"seed": 2})
    (tmp_path / "bad.jsonl").write_text('{"inputs": {}}\nnot json\n{"key": "a"}\n')
    with pytest.raises(PipelineError, match="line 2"):
        Journal(tmp_path / "bad.jsonl", {})


def test_candidates_are_parameters() -> None:
    """Forms are read back from the names they were written as; patterns stay."""
    config = with_form(with_form(BASE, LAYERS[1], FLOAT), LAYERS[2], BLOCKS)
    assert [form_of(config, layer) for layer in LAYERS[:4]] == [STATIC, FLOAT, BLOCKS, STATIC]
    assert config.exclude_names == ["*istft*", "gpt/layers.1.proj/MatMul"]
    assert everything_quantized(config) == BASE
    assert with_form(config, LAYERS[1], STATIC) != config
    other = replace(config, exclude_names=[*config.exclude_names, "vocos/head/MatMul"])
    assert key_of(other, ["gpt"], "gpt") == key_of(config, ["gpt"], "gpt")
    assert key_of(other, ["vocos"], "vocos") != key_of(config, ["vocos"], "vocos")
    assert everything_quantized(replace(BASE, exclude_names=["*istft*", "gpt/*"])) == BASE
    assert cost(config, LAYERS) == 6 * 1000 + 4000 + 1125
