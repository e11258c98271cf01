"""The report over several strengths of outliers, from validations as ``make repro`` leaves them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.core.errors import GateError, PipelineError
from pipeline.fidelity.forcing import KL, WORST_COSINE
from pipeline.params import compose_params
from pipeline.report.gates import NOT_FINITE, GateConfig, judge
from pipeline.report.rows import read_report
from pipeline.report.write import write_report
from pipeline.studies import outliers
from pipeline.studies.outliers import CASES, REPORT, run

GATES = {
    "w8": [
        GateConfig("kl_divergence", "max", 0.02),
        GateConfig("hidden_cosine_min", "min", 0.995),
    ]
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workspaces without DVC, which has nothing to do with what is tested."""

    def prepare(name: str, overrides: list[str], repository: Path) -> Path:
        return repository / "workspaces" / name

    monkeypatch.setattr(outliers, "prepare", prepare)
    return tmp_path


def validated(worst: Callable[[str], float]) -> Callable[[Path], int]:
    """A run up to ``validate`` whose smallest cosine goes by the workspace."""

    def make(workspace: Path) -> int:
        rows = [KL.row("w8", 0.01, head="all"), WORST_COSINE.row("w8", worst(workspace.name))]
        if math.isnan(worst(workspace.name)):
            rows = [NOT_FINITE.row("w8", 1.0, graph="gpt", output="logits", place="all")]
        results = judge(rows, GATES, "conf")
        context = dict.fromkeys(("machine", "versions", "provider", "prompts", "seed"), 1)
        gates = [asdict(result) for result in results]
        write_report(workspace / "reports/validation.json", {**context, "gates": gates}, rows)
        return int(not all(result.passed for result in results))

    return make


def test_a_column_a_strength(root: Path) -> None:
    run(root, validated(lambda name: 0.999))
    report = read_report(root / REPORT)
    assert len(report.rows) == 2 * len(CASES)
    where = {"strength": 100, "massive": 3000}
    assert report.value("w8", "hidden_cosine_min", **where) == 0.999
    line = "| w8 | hidden_cosine_min | all | ≥ 0.995 | 0.999 | 0.999 | 0.999 | 0.999 |"
    assert line in (root / REPORT).with_suffix(".md").read_text(encoding="utf-8")


def test_a_broken_gate_is_written_and_named(root: Path) -> None:
    worst = validated(lambda name: 0.9 if "massive" in name else 0.999)
    with pytest.raises(GateError, match="strength 100, massive 3000: w8: hidden_cosine_min"):
        run(root, worst)
    assert "| 0.999 | **0.9** |" in (root / REPORT).with_suffix(".md").read_text(encoding="utf-8")


def test_a_variant_that_is_not_finite_has_a_line_of_its_own(root: Path) -> None:
    worst = validated(lambda name: float("nan") if "massive" in name else 0.999)
    with pytest.raises(GateError, match="not_finite"):
        run(root, worst)
    text = (root / REPORT).with_suffix(".md").read_text(encoding="utf-8")
    assert "| 0.999 | 0.999 | 0.999 | – |" in text and "| – | – | – | **1** |" in text


def test_a_report_of_an_earlier_run_does_not_count(root: Path) -> None:
    run(root, validated(lambda name: 0.999))
    with pytest.raises(PipelineError, match="outliers_10: found no validation"):
        run(root, lambda workspace: 1)


def test_every_strength_is_composed() -> None:
    for case in CASES:
        found = compose_params(case.overrides)["checkpoint"]["outliers"]
        assert found == {"strength": case.strength, "massive": case.massive}
    assert len({case.workspace for case in CASES}) == len(CASES)
