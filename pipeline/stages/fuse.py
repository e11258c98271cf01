"""Stage ``fuse``: plain graphs to the fused FP32 bundle, every rule's count checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import onnx_ir as ir

from pipeline.bundles import GRAPHS, finish_bundle
from pipeline.checkpoint.dims import load_dims
from pipeline.config import Params
from pipeline.core import atomic
from pipeline.core.errors import ConfigError, FusionError
from pipeline.fusion.config import FuseConfig
from pipeline.fusion.parity import check_fused
from pipeline.fusion.report import write_fusion_report
from pipeline.fusion.rule import all_rules
from pipeline.fusion.run import RuleCount, fuse_graph
from pipeline.stages._runner import stage_main


def run(params: Params, workspace: Path) -> None:
    """Read ``build/export`` and ``build/checkpoint``, write ``bundles/fp32`` and a report."""
    plain, checkpoint = workspace / "build" / "export", workspace / "build" / "checkpoint"
    dims = load_dims(checkpoint)
    check_disabled(params.fuse)
    check_exported(plain)
    counts: list[RuleCount] = []
    nodes = {}
    with atomic.output_directory(workspace / "bundles" / "fp32") as folder:
        for name in GRAPHS:
            model = ir.load(plain / f"{name}.onnx")
            before = model.graph.num_nodes()
            counts += fuse_graph(model, name, dims, params.fuse.disabled)
            nodes[name] = (before, model.graph.num_nodes())
            ir.save(
                model,
                folder / f"{name}.onnx",
                external_data=f"{name}.onnx.data",
                size_threshold_bytes=1024,
            )
        finish_bundle(folder, "fp32", checkpoint, params.tools)
        errors = check_fused(plain, folder, dims, params.fuse.tolerance, params.seed)
    report = {
        "nodes": {name: {"plain": a, "fused": b} for name, (a, b) in nodes.items()},
        "rules": [asdict(count) for count in counts],
        "relative_error": errors,
    }
    write_fusion_report(workspace / "reports" / "fusion.json", report)


def check_exported(folder: Path) -> None:
    """Hold what was exported against what a bundle is made of.

    Raises:
        FusionError: naming the graph that one of them lacks.
    """
    found = {path.stem for path in folder.glob("*.onnx")}
    if found != set(GRAPHS):
        raise FusionError(
            f"{folder}: found the graphs {', '.join(sorted(found))}, expected "
            f"{', '.join(GRAPHS)}; a further one has to be named in pipeline/bundles.py"
        )


def check_disabled(config: FuseConfig) -> None:
    """Refuse names of rules that don't exist.

    Raises:
        ConfigError: naming the unknown rule and those there are.
    """
    known = [rule.name for rule in all_rules()]
    for name in config.disabled:
        if name not in known:
            raise ConfigError(f"fuse.disabled: found '{name}', expected one of {', '.join(known)}")


if __name__ == "__main__":
    stage_main("fuse", run)
