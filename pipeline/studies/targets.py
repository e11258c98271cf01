"""What is really executed in integers, for each target: ``python -m pipeline.studies.targets``
in a workspace, or ``make targets``.

Everything is quantized for every row of :mod:`pipeline.quantization.targets`; ONNX Runtime
optimizes the graphs for the CPU, and the operators left are counted.  Writes
``reports/int8_targets.{json,md}``.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipeline.config import Params
from pipeline.graphs.files import load_graph
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.bundle import Int8Builder, opened_builder
from pipeline.quantization.targets import CPU, TARGETS, Target
from pipeline.quantization.weight_only.graph import quantize_weights
from pipeline.quantization.weight_only.matmul_nbits import OP_TYPE
from pipeline.report.rows import Row, make_row
from pipeline.report.write import markdown_table, report_context, write_report
from pipeline.search.evaluate import CALIBRATION, SOURCE
from pipeline.search.space import everything_quantized
from pipeline.studies.command import workspace_command

REPORT = Path("reports/int8_targets.json")
FLOAT = ("MatMul", "Gemm", "Conv", "FusedMatMul", "FusedConv", "FusedGemm")
PAIRS = ("QuantizeLinear", "DequantizeLinear")
NOTES = """\
- CPU targets: `integer` counts the operators of ONNX Runtime's optimized graph that multiply
  integers, `float` those that multiply floats: what `conf/precision/int8` excludes.
- `tensorrt`: this machine's ONNX Runtime has no TensorRT, so that only the pairs it would take are
  counted; operators of ONNX Runtime's own domain (attention, skip norms) stay with CUDA there.
- `cuda`: the provider runs QDQ MatMuls in float, so no such bundle is made and no figure of one is
  published as INT8; the bundle `w8` is what it accelerates, and its operators are counted."""


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        BundleError: there is no FP32 bundle.
        QuantizationError: a quantized node would run in float.
    """
    rows: list[Row] = []
    lines: list[list[str]] = []
    with opened_builder(workspace / SOURCE, workspace / CALIBRATION) as builder:
        base = everything_quantized(params.precision.int8)
        for name, target in TARGETS.items():
            for graph in builder.manifest.graphs:
                if target.use_instead is None:
                    found = _static(builder, graph, replace(base, target=name), target)
                else:
                    found = _blocks(builder, graph, params)
                rows += [
                    make_row("int8", "nodes", count, "count", target=name, graph=graph, kind=kind)
                    for kind, count in found.items()
                ]
                lines.append([name, graph, *(str(found[kind]) for kind in KINDS)])
        manifest = builder.manifest
    context = report_context(manifest.checkpoint, PROVIDERS)
    reasons = "\n".join(f"- `{name}`: {target.why}." for name, target in TARGETS.items())
    table = markdown_table(["target", "graph", *KINDS], lines)
    write_report(
        workspace / REPORT, context, rows, title="Targets of static INT8",
        sections=[f"## Why these formats\n\n{reasons}", f"## Nodes\n\n{NOTES}\n\n{table}"],
    )  # fmt: skip


KINDS = ("quantized", "integer", "float", "pairs")


def _static(builder: Int8Builder, graph: str, config: Int8Config, target: Target) -> dict[str, int]:
    destination = builder.scratch / "proof" / builder.manifest.graph(graph).file
    destination.parent.mkdir(exist_ok=True)
    made = builder.build(graph, config, destination)
    fused = {name for names in target.fused.values() for name in names}
    written = Counter(node.op_type for node in load_graph(destination).graph)
    here = target.provider == CPU
    return {
        "quantized": len(made.quantized),
        "integer": sum(made.operators.get(name, 0) for name in fused),
        "float": sum(made.operators.get(name, 0) for name in FLOAT) if here else 0,
        "pairs": min(written[name] for name in PAIRS),
    }


def _blocks(builder: Int8Builder, graph: str, params: Params) -> dict[str, int]:
    file = builder.manifest.graph(graph).file
    destination = builder.scratch / "proof" / file
    config = params.precision.w8.but(algorithm="rtn", overrides=[])
    made = quantize_weights(builder.source / file, graph, config, lambda: [], destination)
    return {
        "quantized": len(made.quantized),
        "integer": made.operators.get(OP_TYPE, 0),
        "float": sum(made.operators.get(name, 0) for name in FLOAT),
        "pairs": 0,
    }


if __name__ == "__main__":
    sys.exit(workspace_command("targets", __doc__, run))
