"""Shares of static, dynamic and float products, on graphs made by the quantizers themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.graphs.products import (
    BYTES,
    DYNAMIC,
    FLOAT,
    FORMS,
    SENTENCE,
    STATIC,
    TIME,
    product_table,
    products,
    shares,
)
from pipeline.quantization.calibration.statistics import collect
from pipeline.quantization.config import Int8Config, RepairConfig
from pipeline.quantization.int8.graph import quantize_graph
from pipeline.report.rows import make_row

CONFIG = Int8Config("cpu-avx2", "minmax", 99.99, ["MatMul"], [], False, True)


@pytest.fixture
def quantized(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Any]
) -> Callable[[Int8Config], Path]:
    statistics = collect(gpt_path, "gpt", [make_gpt_feeds(0)], 512)

    def make(config: Int8Config) -> Path:
        quantize_graph(gpt_path, "gpt", statistics, config, tmp_path / "made.onnx")
        return tmp_path / "made.onnx"

    return make


def test_fp32_is_float(gpt_path: Path) -> None:
    found = list(products(gpt_path))
    assert len(found) == 9
    assert shares(found) == {STATIC: 0, DYNAMIC: 0, FLOAT: 1}
    # four bytes a weight
    assert found[0].weight_bytes == 4 * 64 * 192


def test_static_int8_is_static(quantized: Callable[[Int8Config], Path]) -> None:
    found = list(products(quantized(CONFIG)))
    assert shares(found) == {STATIC: 1, DYNAMIC: 0, FLOAT: 0}
    assert found[0].weight_bytes == 64 * 192


def test_forms_side_by_side(quantized: Callable[[Int8Config], Path]) -> None:
    """A product of 16-bit activations reads its weights twice."""
    repairs = RepairConfig(wide_activations=["*o_proj*"], blocks=["*down_proj*"])
    config = replace(CONFIG, repairs=repairs, exclude_names=["*head_code*"])
    found = list(products(quantized(config)))
    by_form = {
        form: sorted(item.node for item in found if item.form == form) for form in shares(found)
    }
    assert len(by_form[STATIC]) == 4 + 2 * 2
    assert len(by_form[DYNAMIC]) == 2
    assert len(by_form[FLOAT]) == 1
    # a scale of two bytes for 32 weights of a byte
    assert next(i for i in found if i.form == DYNAMIC).weight_bytes == 96 * 64 + 2 * 3 * 64
    assert sum(shares(found).values()) == pytest.approx(1)


def test_the_table_has_a_line_for_each_variant_and_what_was_measured() -> None:
    rows = [
        make_row(variant, BYTES, value, "", graph=graph, form=form)
        for variant, value in (("int8", 0.5), ("w8", 0.25))
        for graph in ("gpt", "all")
        for form in FORMS
    ]
    assert "| `int8` | 50 / 50 / 50 | 50 / 50 / 50 |" in product_table(rows)
    assert "time" not in product_table(rows)
    timed = [*rows, *(make_row("w8", TIME, 0.1, "", graph=SENTENCE, form=f) for f in FORMS)]
    table = product_table(timed)
    assert "| `int8` | 50 / 50 / 50 | 50 / 50 / 50 | – / – / – |" in table
    assert "| `w8` | 25 / 25 / 25 | 25 / 25 / 25 | 10 / 10 / 10 |" in table
