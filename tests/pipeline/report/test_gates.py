from __future__ import annotations

import math
import re

import pytest

from pipeline.compose import compose_params
from pipeline.config import Params
from pipeline.core.errors import ConfigError, GateError
from pipeline.core.strict import parse_strictly
from pipeline.fidelity import validate
from pipeline.report.gates import GateConfig, check_gate_names, enforce, gates_section, judge
from pipeline.report.write import make_row

METRICS = {"kl_divergence": ("head",), "hidden_cosine": ()}


def kl(limit: float = 0.1, **where: str) -> GateConfig:
    return GateConfig("kl_divergence", "max", limit, where)


ROWS = [
    make_row("int8", "kl_divergence", 0.05, "nat", head="all"),
    make_row("int8", "kl_divergence", 0.3, "nat", head=2),
    make_row("fp16", "kl_divergence", 9.0, "nat", head="all"),
    make_row("int8", "hidden_cosine", 0.97, "cosine"),
]


def test_limits_in_both_directions() -> None:
    cosine = GateConfig("hidden_cosine", "min", 0.98, {})
    results = judge(ROWS, {"int8": [kl(head="all"), kl(0.3, head="2"), cosine]})
    assert [r.passed for r in results] == [True, True, False]
    assert [r.value for r in results] == [0.05, 0.3, 0.97]


def test_without_conditions_the_worst_row_counts() -> None:
    (result,) = judge(ROWS, {"int8": [kl()]})
    assert (result.value, result.passed) == (0.3, False)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_nan_fails_in_both_directions(direction: str) -> None:
    rows = [*ROWS, make_row("int8", "kl_divergence", math.nan, "nat", head="3")]
    (result,) = judge(rows, {"int8": [GateConfig("kl_divergence", direction, 1e9, {})]})
    assert not result.passed
    assert result.value is None
    with pytest.raises(GateError, match="int8: kl_divergence is not a number"):
        enforce([result])


def test_enforce_names_variant_metric_value_and_limit() -> None:
    results = judge(ROWS, {"int8": [kl(0.2, head="2")], "fp16": [kl(10.0)]})
    with pytest.raises(GateError) as caught:
        enforce(results)
    assert "int8: kl_divergence (head 2) is 0.3, expected at most 0.2" in str(caught.value)
    assert "fp16" not in str(caught.value)
    enforce([result for result in results if result.passed])


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"int4": [kl()]}, "unknown variant 'int4'"),
        ({"int8": [GateConfig("mos", "min", 4.0, {})]}, "unknown metric 'mos'"),
        ({"int8": [kl(layer="3")]}, "no condition layer, expected one of head"),
    ],
)
def test_unknown_names_are_refused(gates: dict[str, list[GateConfig]], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_gate_names(gates, ["int8"], METRICS)


def test_a_condition_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no row of kl_divergence"):
        judge(ROWS, {"int8": [kl(head="9")]})


def test_a_direction_is_min_or_max() -> None:
    with pytest.raises(ConfigError, match="direction is 'below'"):
        GateConfig("kl_divergence", "below", 1.0, {})


def test_section_shows_every_verdict() -> None:
    section = gates_section(judge(ROWS, {"int8": [kl(0.2, head="2"), kl(head="all")]}))
    assert "| int8 | kl_divergence | head 2 | 0.3 | ≤ 0.2 | **failed** |" in section
    assert section.count("passed") == 1
    assert "None configured" in gates_section([])


def test_committed_gates_name_what_is_measured() -> None:
    params = parse_strictly(compose_params([]), Params).validate
    assert set(params.gates) == set(params.variants)
    check_gate_names(params.gates, params.variants, validate.METRICS)
