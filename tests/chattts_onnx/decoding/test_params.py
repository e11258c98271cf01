from __future__ import annotations

import pytest

from chattts_onnx import GenerationParams, InputError


def test_defaults_are_those_of_the_code_pass() -> None:
    params = GenerationParams()
    found = (params.temperature, params.top_p, params.top_k, params.repetition_penalty)
    assert found == (0.3, 0.7, 20, 1.05)
    assert (params.max_new_tokens, params.min_new_tokens) == (2048, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"repetition_penalty": 0},
        {"max_new_tokens": 0},
        {"min_new_tokens": 3000},
        {"retries": -1},
    ],
)
def test_values_out_of_range_are_named(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        GenerationParams().but(**change)


def test_unknown_settings_are_refused() -> None:
    assert GenerationParams.of({"top_k": 5}).top_k == 5
    with pytest.raises(InputError, match="topk"):
        GenerationParams.of({"topk": 5})
