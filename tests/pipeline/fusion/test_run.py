"""All rules on the exported graphs of a small checkpoint."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import onnx_ir as ir
import pytest

from pipeline.bundles import GRAPHS, finish_bundle
from pipeline.core.errors import ConfigError, FusionError
from pipeline.fusion import rules
from pipeline.fusion.config import FuseConfig
from pipeline.fusion.parity import check_fused
from pipeline.fusion.run import fuse_graph
from pipeline.reference.load import Modules
from pipeline.stages.fuse import check_disabled, check_exported


@pytest.fixture(scope="module")
def fused(
    smoke_export: Path,
    smoke_checkpoint: Path,
    smoke_modules: Modules,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("fused")
    for name in GRAPHS:
        model = ir.load(smoke_export / f"{name}.onnx")
        fuse_graph(model, name, smoke_modules.dims, [])
        ir.save(model, folder / f"{name}.onnx", external_data=f"{name}.onnx.data")
    finish_bundle(folder, "fp32", smoke_checkpoint, {})
    return folder


def test_a_layer_is_ten_nodes(fused: Path) -> None:
    model = ir.load(fused / "gpt.onnx")
    layer = Counter(n.op_type for n in model.graph if (n.name or "").startswith("layers.0."))
    assert layer == {
        "RMSNormalization": 1,
        "MatMul": 4,
        "GroupQueryAttention": 1,
        "SkipSimplifiedLayerNormalization": 1,
        "Split": 1,
        "QuickGelu": 1,
        "Mul": 1,
    }
    names = {value.name for value in model.graph.inputs}
    assert {"seqlens_k", "total_sequence_length"} <= names
    assert not names & {"attention_mask", "position_ids"}


def test_fused_equals_plain(fused: Path, smoke_export: Path, smoke_modules: Modules) -> None:
    errors = check_fused(smoke_export, fused, smoke_modules.dims, tolerance=1e-4, seed=0)
    assert set(errors) == set(GRAPHS)


def test_difference_is_refused(fused: Path, smoke_export: Path, smoke_modules: Modules) -> None:
    with pytest.raises(FusionError, match="relative error"):
        check_fused(smoke_export, fused, smoke_modules.dims, tolerance=1e-12, seed=0)


def test_silent_mismatch_is_an_error(smoke_export: Path, smoke_modules: Modules) -> None:
    """Without the rotation fused, attention no longer matches: the count says so."""
    model = ir.load(smoke_export / "gpt.onnx")
    with pytest.raises(FusionError, match=r"'group_query_attention' fired 0 times, expected 2"):
        fuse_graph(model, "gpt", smoke_modules.dims, ["rotary"])


def test_a_graph_that_nobody_was_told_of_is_refused(
    smoke_export: Path, fused: Path, smoke_modules: Modules, tmp_path: Path
) -> None:
    for source, name in ((smoke_export, "plain"), (fused, "bundle")):
        shutil.copytree(source, tmp_path / name)
        shutil.copy(source / "vocos.onnx", tmp_path / name / "own.onnx")
    with pytest.raises(FusionError, match=r"own.*pipeline/graphs/facts\.py"):
        check_exported(tmp_path / "plain")
    with pytest.raises(FusionError, match=r"graphs own, .*pipeline/graphs/facts\.py"):
        check_fused(smoke_export, tmp_path / "bundle", smoke_modules.dims, tolerance=1.0, seed=0)


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="'gqa', expected one of layer_scale, rotary"):
        check_disabled(FuseConfig(disabled=["gqa"], tolerance=1e-3))


def test_a_rule_runs_after_those_whose_results_it_matches() -> None:
    gpt = [rule.name for rule in rules.all_rules() if "gpt" in rule.graphs]
    assert gpt == ["rotary", "group_query_attention", "packed_qkv", "packed_gate_up", "skip_norm"]


def test_a_file_among_the_rules_is_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smoke_export: Path, smoke_modules: Modules
) -> None:
    """As CONTRIBUTING.md says: nothing else has to be changed."""
    source = (Path(rules.__path__[0]) / "rotary.py").read_text(encoding="utf-8")
    own = source.replace('"rotary"', '"own"').replace("2 * dims", "7 * dims")
    (tmp_path / "own.py").write_text(own, encoding="utf-8")
    monkeypatch.setattr(rules, "__path__", [str(tmp_path)])
    model = ir.load(smoke_export / "gpt.onnx")
    with pytest.raises(FusionError, match=r"rule 'own' fired 4 times, expected 14"):
        fuse_graph(model, "gpt", smoke_modules.dims, [])
