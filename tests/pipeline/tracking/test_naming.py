from __future__ import annotations

import math
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from pipeline.tracking.naming import NamedMetric, metric_name, named_metrics


def test_conditions_become_part_of_the_name() -> None:
    row = {"variant": "int8", "metric": "rtf", "value": 1, "unit": "1", "batch": 4, "length": 64}
    assert metric_name(row) == "rtf/batch_4/length_64"


@pytest.mark.parametrize(
    ("metric", "unit", "name"),
    [
        ("kl_divergence", "nat", "kl_divergence_nat"),
        ("log_spectral_distance", "dB", "log_spectral_distance_db"),
        ("snr_db", "dB", "snr_db"),
        ("size_bytes", "B", "size_bytes"),
        ("first_audio_seconds", "s", "first_audio_seconds"),
        ("steps_per_second", "steps/s", "steps_per_second"),
        ("throughput", "steps/s", "throughput_steps_per_second"),
        ("top1_agreement", "share", "top1_agreement_share"),
        ("word_error_rate", "%", "word_error_rate_percent"),
        ("steps_per_second_ratio", "×", "steps_per_second_ratio"),
        ("rtf", "s/s", "rtf"),
        ("samples", "count", "samples"),
        ("nodes", None, "nodes"),
    ],
)
def test_the_unit_is_said_once(metric: str, unit: str | None, name: str) -> None:
    assert metric_name({"metric": metric, "value": 1, "unit": unit}) == name


def test_absent_conditions_are_left_out() -> None:
    assert metric_name({"metric": "rtf", "value": 1, "batch": None}) == "rtf"


def test_statistics_are_metrics_of_their_own() -> None:
    row = {"metric": "rtf", "value": 2, "min": 1, "max": 3.5, "batch": 1}
    assert list(named_metrics([row])) == [
        NamedMetric("rtf/batch_1", 2.0, 0),
        NamedMetric("rtf/batch_1/min", 1.0, 0),
        NamedMetric("rtf/batch_1/max", 3.5, 0),
    ]


def test_rows_of_one_name_are_steps() -> None:
    rows = [{"metric": "snr", "value": 1}, {"metric": "snr", "value": 2}]
    assert [(m.value, m.step) for m in named_metrics(rows)] == [(1.0, 0), (2.0, 1)]


@pytest.mark.parametrize("value", [None, "CUDA", math.nan, math.inf])
def test_what_is_no_finite_number_is_no_metric(value: Any) -> None:
    assert list(named_metrics([{"metric": "provider", "value": value}])) == []


@given(st.dictionaries(st.text(string.ascii_lowercase, min_size=1), st.text() | st.integers()))
def test_mlflow_accepts_every_name(conditions: dict[str, Any]) -> None:
    _validate_metric_name(metric_name({"metric": "rtf", "value": 0, **conditions}))
