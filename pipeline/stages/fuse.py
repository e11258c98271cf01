"""Stage ``fuse``: plain graphs to the fused FP32 bundle, every rule's count checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import onnx_ir as ir

from pipeline.bundles import finish_bundle
from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.record import read_record
from pipeline.config import Params
from pipeline.core import atomic
from pipeline.core.errors import FusionError, require_one_of
from pipeline.fusion import balance
from pipeline.fusion.config import FuseConfig
from pipeline.fusion.parity import check_fused
from pipeline.fusion.rules import all_rules
from pipeline.fusion.run import RuleCount, fuse_graph
from pipeline.graphs.facts import GRAPHS
from pipeline.report.rows import Row, make_row
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

VARIANT = "fp32"
REPORT = Path("reports/fusion.json")
NAMED = 16
NOTES = """\
- `nodes` of each graph, as exported and as fused.
- `rule_count` says how often each rule fired; a count that differs from what the layers demand
  stops the stage.
- `uneven_channels` of what a layer reads were out of proportion, and made even: the worst are
  named.
- `fusion_error` is the largest error of the fused graph against the exported one, relative to the
  largest output (or 1, if that is larger); of `dvae_encode` the share of codes that differ."""


def run(params: Params, workspace: Path) -> None:
    """Read ``build/export`` and ``build/checkpoint``, write ``bundles/fp32`` and a report."""
    plain, checkpoint = workspace / "build" / "export", workspace / "build" / "checkpoint"
    dims = load_dims(checkpoint)
    check_disabled(params.fuse)
    check_exported(plain)
    rows: list[Row] = []
    with atomic.output_directory(workspace / "bundles" / VARIANT) as folder:
        for name in GRAPHS:
            model = ir.load(plain / f"{name}.onnx")
            rows.append(_nodes(model, name, "exported"))
            for count in fuse_graph(model, name, dims, params.fuse.disabled):
                where = {"graph": name, "rule": count.rule}
                rows.append(make_row(VARIANT, "rule_count", count.found, "matches", **where))
                rows += channel_rows(count)
            rows.append(_nodes(model, name, "fused"))
            ir.save(
                model,
                folder / f"{name}.onnx",
                external_data=f"{name}.onnx.data",
                size_threshold_bytes=1024,
            )
        finish_bundle(folder, VARIANT, checkpoint, params.tools)
        errors = check_fused(plain, folder, dims, params.fuse.tolerance, params.seed)
    rows += [make_row(VARIANT, "fusion_error", e, "share", graph=g) for g, e in errors.items()]
    context = report_context(asdict(read_record(checkpoint)), "CPUExecutionProvider")
    blocks = [f"## What is compared\n\n{NOTES}"]
    write_report(workspace / REPORT, context, rows, title="Fusion", sections=blocks)


def _nodes(model: ir.Model, graph: str, form: str) -> Row:
    return make_row(VARIANT, "nodes", model.graph.num_nodes(), "nodes", graph=graph, form=form)


def channel_rows(count: RuleCount) -> Iterator[Row]:
    """A row for each layer that reads channels out of proportion, with their numbers."""
    for node, channels in count.channels.items():
        named = " ".join(map(str, channels[:NAMED]))
        where = {"layer": f"{count.graph}/{node}", "channels": named}
        yield make_row(VARIANT, balance.CHANNELS, len(channels), "channels", **where)


def check_exported(folder: Path) -> None:
    """Hold what was exported against what a bundle is made of.

    Raises:
        FusionError: naming the graph that one of them lacks.
    """
    found = {path.stem for path in folder.glob("*.onnx")}
    if found != set(GRAPHS):
        raise FusionError(
            f"{folder}: found the graphs {', '.join(sorted(found))}, expected "
            f"{', '.join(GRAPHS)}; a further one has to be named in pipeline/graphs/facts.py"
        )


def check_disabled(config: FuseConfig) -> None:
    """Refuse names of rules that don't exist.

    Raises:
        ConfigError: naming the unknown rule and those there are.
    """
    known = [*(rule.name for rule in all_rules()), balance.NAME]
    for name in config.disabled:
        require_one_of("fuse.disabled", name, known)


if __name__ == "__main__":
    stage_main("fuse", run)
