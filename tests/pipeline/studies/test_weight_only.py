"""The curve from 4 to 8 bits: which layers are in which format, and its table."""

from __future__ import annotations

import itertools

import pytest

from pipeline.core.strict import parse_strictly
from pipeline.params import compose_params
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.report.rows import make_row
from pipeline.studies.weight_only import case_table
from pipeline.studies.weight_only_cases import mixes


@pytest.fixture(scope="module")
def w4() -> WeightOnlyConfig:
    return parse_strictly(compose_params([])["precision"]["w4"], WeightOnlyConfig)


@pytest.mark.parametrize(("layers", "counts"), [(20, [0, 5, 10, 15, 20]), (1, [0, 0, 0, 1, 1])])
def test_ever_more_layers_lie_evenly(w4: WeightOnlyConfig, layers: int, counts: list[int]) -> None:
    found = []
    for case in mixes(w4, layers):
        names = [f"layers.{i}.mlp.down_proj.weight" for i in range(layers)]
        eight = [i for i in range(layers) if case.config.format_of("gpt", names[i]).bits == 8]
        assert case.config.format_of("gpt", "head_code.weight").bits == 8
        assert case.conditions()["layers"] == f"{len(eight)} of {layers} in 8 bits"
        gaps = [after - before for before, after in itertools.pairwise(eight)]
        assert not gaps or max(gaps) - min(gaps) <= 1
        found.append(len(eight))
    assert found == counts


def test_a_line_a_case(w4: WeightOnlyConfig) -> None:
    rows = []
    for index, case in enumerate(mixes(w4, 8)):
        where = {"checkpoint": "some", **case.conditions()}
        rows += [
            make_row("w4", "kl_divergence", 0.5 - index / 10, "nat", head="all", **where),
            make_row("w4", "top1_agreement", 0.5, "share", head="3", **where),
            make_row("w4", "top1_agreement", 0.9, "share", head="all", **where),
            make_row("w4", "gpt_size", 1e6 * (index + 1), "B", **where),
        ]
    lines = case_table(rows).splitlines()[4:]
    assert len(lines) == 5
    assert lines[2].startswith("| some w4: rtn, ") and "4 of 8 in 8 bits" in lines[2]
    assert lines[2].endswith("| 3 | 0.3 | 0.9 | – |")
