"""Gates of a search: chosen, tightened, and measured against."""

from __future__ import annotations

import math

import pytest

from pipeline.core.errors import ConfigError
from pipeline.report.gates import GateConfig
from pipeline.report.rows import make_row
from pipeline.search.config import SearchConfig
from pipeline.search.verdict import chosen_gates, verdict

KL = GateConfig("kl_divergence", "max", 0.05, {})
TOP = GateConfig("top1_agreement", "min", 0.9, {"head": "all"})


def test_stricter_gates_replace_their_like_and_margins_tighten() -> None:
    """A fifth of what is allowed is kept free."""
    strict = GateConfig("top1_agreement", "min", 0.95, {"head": "all"})
    chosen = chosen_gates({"int8": [KL, TOP]}, "int8", [strict], margin=0.2)
    limits = {gate.metric: gate.limit for gate in chosen}
    assert limits["kl_divergence"] == pytest.approx(0.04)
    assert limits["top1_agreement"] == pytest.approx(0.96)


def test_unknown_gates_and_variants_are_refused() -> None:
    """Before anything is measured."""
    with pytest.raises(ConfigError, match="unknown metric 'mos'"):
        chosen_gates({"int8": []}, "int8", [GateConfig("mos", "min", 4.0, {})], 0.0)
    with pytest.raises(ConfigError, match=r"search.variant: found 'int9'.*int8"):
        chosen_gates({"int8": []}, "int9", [], 0.0)


def test_violation_counts_shares_of_what_is_allowed() -> None:
    """Gates that no row concerns are left out; what is not a number is infinitely far off."""
    rows = [
        make_row("int8", "kl_divergence", 0.1, "nat", head="0"),
        make_row("int8", "top1_agreement", 0.85, "share", head="all"),
    ]
    found = verdict(rows, [KL, TOP, GateConfig("snr_db", "min", 15.0, {})], "int8")
    assert len(found.results) == 2
    assert found.violation == pytest.approx(1.0 + 0.5)
    assert verdict(rows[1:], [KL], "int8").passed
    rows[0]["value"] = math.nan
    assert verdict(rows, [KL], "int8").violation == math.inf


@pytest.mark.parametrize(
    ("field", "value"),
    [("ranking", "luck"), ("margin", 1.0), ("minutes", 0.0), ("evaluations", 0), ("min_steps", 99)],
)
def test_wrong_parameters_are_refused(field: str, value: object) -> None:
    """The message names the field."""
    values: dict[str, object] = {
        "sentences": "a.jsonl", "prompts": 1, "steps": 8, "min_steps": 4, "variant": "int8",
        "gates": [], "margin": 0.1, "evaluations": 5, "minutes": 1.0, "threads": 1,
        "ranking": "effect", "sensitivity_prompts": 1,
    }  # fmt: skip
    SearchConfig(**values)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=field):
        SearchConfig(**{**values, field: value})  # type: ignore[arg-type]
