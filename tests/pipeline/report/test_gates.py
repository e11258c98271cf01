from __future__ import annotations

import math
import re

import pytest

from pipeline.config import Params
from pipeline.core.errors import ConfigError, GateError
from pipeline.core.strict import parse_strictly
from pipeline.fidelity import validate
from pipeline.params import compose_params
from pipeline.report.gates import (
    BROKEN,
    KEPT,
    UNDECIDED,
    UNMEASURED,
    GateConfig,
    check_gates,
    enforce,
    gates_section,
    judge,
)
from pipeline.report.metrics import Metric, by_name
from pipeline.report.rows import make_row

PLACE = "conf/validate"
METRICS = by_name(
    [
        Metric(name="kl_divergence", unit="nat", better="lower", conditions=("head",)),
        Metric(name="hidden_cosine", unit="cosine", better="higher"),
    ]
)


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
    results = judge(ROWS, {"int8": [kl(head="all"), kl(0.3, head="2"), cosine]}, PLACE)
    assert [r.passed for r in results] == [True, True, False]
    assert [r.value for r in results] == [0.05, 0.3, 0.97]


def test_without_conditions_the_worst_row_counts() -> None:
    (result,) = judge(ROWS, {"int8": [kl()]}, PLACE)
    assert (result.value, result.passed) == (0.3, False)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_nan_fails_in_both_directions(direction: str) -> None:
    rows = [*ROWS, make_row("int8", "kl_divergence", math.nan, "nat", head="3")]
    (result,) = judge(rows, {"int8": [GateConfig("kl_divergence", direction, 1e9, {})]}, PLACE)
    assert not result.passed
    assert result.value is None
    with pytest.raises(GateError, match="int8: kl_divergence is not a number"):
        enforce([result], "report", PLACE)


def test_enforce_names_variant_metric_value_and_limit() -> None:
    results = judge(ROWS, {"int8": [kl(0.2, head="2")], "fp16": [kl(10.0)]}, PLACE)
    with pytest.raises(GateError) as caught:
        enforce(results, "report", PLACE)
    assert "int8: kl_divergence (head 2) is 0.3, expected ≤ 0.2" in str(caught.value)
    assert "fp16" not in str(caught.value)
    enforce([result for result in results if result.passed], "report", PLACE)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"int4": [kl()]}, "unknown variant 'int4'"),
        ({"int8": [GateConfig("mos", "min", 4.0, {})]}, "unknown metric 'mos'"),
        ({"int8": [GateConfig("hidden_cosine", "max", 1.0)]}, "higher is better"),
        ({"int8": [kl(layer="3")]}, "no condition layer, expected one of head"),
    ],
)
def test_unknown_names_are_refused(gates: dict[str, list[GateConfig]], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_gates(gates, ["int8"], METRICS, PLACE)


def test_a_condition_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing is measured for kl_divergence"):
        judge(ROWS, {"int8": [kl(head="9")]}, PLACE)
    (result,) = judge(ROWS, {"int8": [kl(head="9")]}, PLACE, partial=True)
    assert (result.verdict, result.passed) == (UNMEASURED, True)


def test_a_direction_is_min_or_max() -> None:
    with pytest.raises(ConfigError, match="direction is 'below'"):
        GateConfig("kl_divergence", "below", 1.0, {})


WER = GateConfig("word_error_rate_change", "max", 0.6)
MOS = GateConfig("dnsmos_p808_change", "min", -0.18)


@pytest.mark.parametrize(
    ("gate", "value", "low", "high", "expected"),
    [
        (WER, 0.1, -0.3, 0.5, KEPT),
        (WER, 0.5, -0.3, 1.2, UNDECIDED),
        (WER, 0.9, 0.4, 1.2, UNDECIDED),
        (WER, 0.9, 0.7, 1.2, BROKEN),
        (WER, 0.6, None, None, KEPT),
        (WER, 0.7, None, None, BROKEN),
        (MOS, -0.1, -0.17, 0.0, KEPT),
        (MOS, -0.2, -0.3, -0.1, UNDECIDED),
        (MOS, -0.3, -0.4, -0.2, BROKEN),
        (MOS, float("nan"), None, None, BROKEN),
        (MOS, None, None, None, BROKEN),
    ],
)
def test_the_whole_interval_decides(
    gate: GateConfig, value: float, low: float | None, high: float | None, expected: str
) -> None:
    rows = [make_row("int8", gate.metric, value, "", low=low, high=high)]
    (found,) = judge(rows, {"int8": [gate]}, "conf/speech")
    assert found.verdict == expected


def test_what_is_undecided_stops_nothing() -> None:
    rows = [
        make_row("int8", WER.metric, 0.9, "points", low=0.7, high=1.2),
        make_row("int8", MOS.metric, -0.2, "MOS", low=-0.3, high=-0.1),
    ]
    results = judge(rows, {"int8": [WER, MOS]}, "conf/speech")
    with pytest.raises(
        GateError, match=r"change is 0\.9 \[0\.7 … 1\.2\], expected ≤ 0\.6"
    ) as caught:
        enforce(results, "reports/speech.md", "conf/speech")
    assert "dnsmos" not in str(caught.value)
    assert "| undecided |" in gates_section(results)


def test_section_shows_every_verdict() -> None:
    section = gates_section(judge(ROWS, {"int8": [kl(0.2, head="2"), kl(head="all")]}, PLACE))
    assert "| int8 | kl_divergence | head 2 | 0.3 | ≤ 0.2 | **broken** |" in section
    assert section.count("kept") == 1
    assert "None." in gates_section([])


def test_committed_gates_name_what_is_measured() -> None:
    params = parse_strictly(compose_params([]), Params).validate
    assert set(params.gates) == set(params.variants)
    check_gates(params.gates, params.variants, validate.METRICS, PLACE)
