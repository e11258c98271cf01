"""All rules on the exported graphs of a small checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx_ir as ir
import pytest

from pipeline.bundles import GRAPHS, finish_bundle
from pipeline.errors import ConfigError, FusionError
from pipeline.fusion.config import FuseConfig
from pipeline.fusion.parity import check_fused
from pipeline.fusion.run import fuse_graph
from pipeline.reference.load import Modules
from pipeline.stages.fuse import check_disabled


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


def test_unknown_rule_is_refused(smoke_modules: Modules) -> None:
    with pytest.raises(ConfigError, match="'gqa', expected one of rotary"):
        check_disabled(FuseConfig(disabled=["gqa"], tolerance=1e-3), smoke_modules.dims)
