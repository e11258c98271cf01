"""CONTRIBUTING's walk-through: configuration, the builder's line and gates, nothing else."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml

import pipeline.config
from chattts_onnx.bundle import open_bundle
from pipeline.config import Params
from pipeline.core.strict import parse_strictly
from pipeline.fidelity.validate import METRICS
from pipeline.params import CONF_DIRECTORY, compose_params, render
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.report.gates import check_gates
from pipeline.stages import quantize
from tests.chattts_onnx import tiny_bundle
from tools.drills.project import REPOSITORY, stages

NAME = "w8_wide"
GATE = f"  {NAME}: [{{metric: kl_divergence, direction: max, limit: 0.1, where: {{}}}}]\n"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``conf/`` with the three things that are to be written."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF_DIRECTORY, folder)
    # 1. configuration: what it is, and that there is one
    shutil.copytree(folder / "precision/w8", folder / "precision" / NAME)
    settings = folder / "precision" / NAME / "default.yaml"
    written = yaml.safe_load(settings.read_text())
    changed = {"block_size": 16, "cache": {"bits": None, "headroom": 1.1}}
    settings.write_text(yaml.safe_dump({**written, **changed}))
    main = folder / "config.yaml"
    text = main.read_text().replace(
        "  - precision/w8:", f"  - precision/{NAME}: default\n  - precision/w8:"
    )
    main.write_text(text.replace("w8, w4]", f"w8, w4, {NAME}]"))
    # 2. the builder
    kinds = {"__annotations__": {NAME: WeightOnlyConfig}}
    wider = dataclasses.dataclass(frozen=True)(
        type("PrecisionConfig", (pipeline.config.PrecisionConfig,), kinds)
    )
    monkeypatch.setattr(pipeline.config, "PrecisionConfig", wider)
    # 3. gates
    for group in ("validate", "speech"):
        path = folder / group / "default.yaml"
        path.write_text(path.read_text().replace("gates:\n", f"gates:\n{GATE}", 1))
    return folder


def test_a_variant_more_is_one_everywhere(conf: Path, tmp_path: Path) -> None:
    values = compose_params([], conf)
    params = parse_strictly(values, Params)
    for group in (params.validate, params.speech, params.benchmark, params.release):
        assert NAME in group.variants
    check_gates(params.validate.gates, params.validate.variants, METRICS, "conf/validate")
    assert NAME in params.speech.gates

    (tmp_path / "params.yaml").write_text(render(values, []))
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    made = stages(tmp_path)[f"quantize@{NAME}"]
    assert made["cmd"].endswith(f"quantize {NAME}") and f"bundles/{NAME}" in made["outs"]

    tiny_bundle.build(tmp_path / "bundles/fp32")
    quantize.run(params, tmp_path, NAME)
    bundle = open_bundle(tmp_path / "bundles" / NAME)
    assert bundle.manifest.variant == NAME
    assert bundle.manifest.notes["weight_only"]["block_size"] == 16
    rows = yaml.safe_load((tmp_path / f"reports/{NAME}.json").read_text())["rows"]
    assert {row["variant"] for row in rows} == {NAME}
