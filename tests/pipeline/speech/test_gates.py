from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import ConfigError, GateError
from pipeline.report.write import make_row
from pipeline.speech.config import SpeechGate
from pipeline.speech.gates import (
    BROKEN,
    KEPT,
    UNDECIDED,
    check_gates,
    enforce_speech,
    judge_speech,
    verdicts_section,
)


def verdict(gate: SpeechGate, value: float | None, low: float | None, high: float | None) -> Any:
    rows = [
        make_row("int8", gate.metric, value, "", language="all", set="all", low=low, high=high)  # type: ignore[arg-type]
    ]
    (found,) = judge_speech(rows, {"int8": [gate]})
    return found


WER = SpeechGate("word_error_rate_change", "max", 0.6)
MOS = SpeechGate("dnsmos_p808_change", "min", -0.18)


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
    gate: SpeechGate, value: float | None, low: float | None, high: float | None, expected: str
) -> None:
    assert verdict(gate, value, low, high).verdict == expected


def test_only_what_is_broken_stops_and_is_named() -> None:
    broken, open_ = verdict(WER, 0.9, 0.7, 1.2), verdict(MOS, -0.2, -0.3, -0.1)
    enforce_speech([open_])
    with pytest.raises(GateError) as caught:
        enforce_speech([open_, broken])
    message = str(caught.value)
    assert "int8: word_error_rate_change is 0.9 [0.7 … 1.2], expected ≤ 0.6" in message
    assert "dnsmos" not in message
    section = verdicts_section([open_, broken])
    assert "| undecided |" in section
    assert "| **broken** |" in section


def test_gates_on_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown metric 'mos'"):
        check_gates({"int8": [SpeechGate("mos", "min", 4.0)]})
    with pytest.raises(ConfigError, match="nothing is measured for word_error_rate_change"):
        judge_speech([], {"fp32": [WER]})
    with pytest.raises(ConfigError, match="direction is 'most'"):
        SpeechGate("word_error_rate", "most", 1.0)


def test_a_gate_of_a_language_is_judged_over_its_row() -> None:
    rows = [
        make_row(
            "int8", "dnsmos_p808", value, "MOS", language=language, set="all", low=None, high=None
        )
        for language, value in (("all", 3.6), ("zh", 3.4))
    ]
    gate = SpeechGate("dnsmos_p808", "min", 3.5, language="zh")
    (found,) = judge_speech(rows, {"int8": [gate]})
    assert found.verdict == BROKEN
    assert found.name == "dnsmos_p808 (zh)"
