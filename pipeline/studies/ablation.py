"""What each repair is worth: ``python -m pipeline.studies.ablation`` in a workspace, or
``make ablation``.

Each case changes one thing of everything quantized, in all graphs; fidelity is measured on the
sentences of ``conf/search``, speed in turns.
Needs ``bundles/fp32`` and ``build/calibration``; writes ``reports/int8_ablation.{json,md}``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime as ort
from rich.console import Console

from pipeline.config import Params
from pipeline.core.errors import ConfigError
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.quantization.config import Int8Config
from pipeline.quantization.targets import check_machine
from pipeline.report.machine import machine_context
from pipeline.report.rows import Row, make_row
from pipeline.report.write import format_value, markdown_table, report_context, write_report
from pipeline.search.effect import loss_of
from pipeline.search.evaluate import Evaluator
from pipeline.search.judge import COMPONENTS, component_of
from pipeline.search.space import REPAIRS, everything_quantized, with_integer_cache, with_repair
from pipeline.search.speed import steps_per_second
from pipeline.studies.command import workspace_command
from pipeline.studies.opening import evaluator_of

REPORT = Path("reports/int8_ablation.json")
BASE = "everything quantized"
PARTS = tuple(name for name in COMPONENTS if "+" not in name)


def cases(base: Int8Config) -> Iterator[tuple[str, Int8Config]]:
    """Name and configuration of each case; the first changes nothing."""
    start = everything_quantized(with_integer_cache(base))
    yield BASE, start
    for name, changes in REPAIRS:
        yield name, with_repair(start, changes)
    yield "percentile 99.9", replace(start, calibrator="percentile", percentile=99.9)
    yield "16-bit activations, down", _repaired(start, wide_activations=["gpt/*down_proj*"])
    yield "16-bit activations, all", _repaired(start, wide_activations=["*"])
    yield "blocks, down", _repaired(start, blocks=["gpt/*down_proj*"])
    yield "blocks, all", _repaired(start, blocks=["*"])
    yield "float head", replace(start, exclude_names=[*start.exclude_names, "gpt/head_code*"])
    yield "float down", replace(start, exclude_names=[*start.exclude_names, "gpt/*down_proj*"])
    yield "target cpu-vnni", replace(start, target="cpu-vnni")


def _repaired(config: Int8Config, **changes: Any) -> Int8Config:
    return replace(config, repairs=replace(config.repairs, **changes))


def runs_here(config: Int8Config) -> bool:
    """Whether this machine can run the target of a case."""
    try:
        check_machine(config.target, machine_context()["isa"], ort.get_available_providers())
    except ConfigError:
        return False
    return True


def run(params: Params, workspace: Path) -> None:
    """Measure every case; see the module's docstring.

    Raises:
        ConfigError: the sentences, the gates or the target are wrong.
        QuantizationError: there is no calibration, or a case cannot be built.
    """
    console = Console(stderr=True)
    rows: list[Row] = []
    lines: list[list[str]] = []
    with evaluator_of(params, workspace) as evaluator:
        base: dict[str, float] = {}
        for name, config in cases(params.precision.int8):
            if not runs_here(config):
                continue
            found = [row for part in PARTS for row in evaluator.measure(config, part, name).rows]
            rows += [{**row, "case": name} for row in found]
            speed = _speed(evaluator, name, config)
            rows += [
                make_row("int8", "speed_share", speed[batch], "of everything quantized", case=name,
                         batch=batch)
                for batch in speed
            ]  # fmt: skip
            losses = {part: loss_of(_of(found, part)) for part in PARTS}
            base = base or losses
            lines.append(_line(name, found, losses, base, speed))
            console.print(f"{name}: KL {losses['gpt']:.4g}", highlight=False, markup=False)
        manifest = evaluator.builder.manifest
    context = report_context(
        manifest.checkpoint, PROVIDERS, target=params.precision.int8.target,
        prompts=params.search.prompts, threads=params.search.threads,
    )  # fmt: skip
    section = f"## Each repair by itself\n\n{NOTE}\n\n{markdown_table(HEADER, lines)}"
    write_report(
        workspace / REPORT, context, rows, title="Repairs of static INT8", sections=[section]
    )


HEADER = ["case", "logit KL", "top-1, worst head", "text head KL", "decoder mel", "DVAE mel",
          "encoder codes", "speed, batch 1", "speed, batch 8"]  # fmt: skip
NOTE = """\
Losses against FP32 by teacher forcing; in brackets the share of everything quantized. Speed is of
decoding steps, measured in turns with everything quantized. `blocks` are INT8 weights with
activations rounded at run time (MatMulNBits). `16-bit activations` are two integer products a
layer: ONNX Runtime has no CPU kernel for 16-bit activations, and runs QDQ of them in float with the
weights dequantized in each call."""


def _of(rows: list[Row], part: str) -> list[Row]:
    return [row for row in rows if component_of(row) == part]


def _speed(evaluator: Evaluator, name: str, config: Int8Config) -> dict[int, float]:
    reference = evaluator.scratch / "reference"
    if name == BASE:
        evaluator.build(config, reference, ["gpt"])
    folder = evaluator.build(config, evaluator.scratch / "case", ["gpt"])
    shares = {}
    for batch in (1, 8):
        both = {"base": reference, "case": folder}
        speeds = steps_per_second(both, evaluator.judge.threads, batch)
        shares[batch] = speeds["case"] / speeds["base"]
    return shares


def _line(
    name: str,
    rows: list[Row],
    losses: dict[str, float],
    base: dict[str, float],
    speed: dict[int, float],
) -> list[str]:
    heads = [
        float(row["value"]) for row in rows
        if row["metric"] == "top1_agreement" and row.get("head") not in ("all", "text")
    ]  # fmt: skip

    def cell(part: str) -> str:
        share = losses[part] / base[part] if base[part] else 1.0
        return f"{format_value(losses[part])} ({share:.0%})"

    return [
        name, cell("gpt"), f"{min(heads):.2%}", cell("text_head"), cell("decoder"),
        cell("dvae_decode"), f"{1 - losses['dvae_encode']:.1%}",
        *(f"{speed[batch]:.0%}" for batch in speed),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(workspace_command("ablation", __doc__, run))
