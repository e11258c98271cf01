"""Which weight-only algorithm is closest to FP32, measured.

Run ``python -m pipeline.studies.weight_only`` in a workspace whose fuse stage has
run; arguments name further workspaces, whose checkpoints are measured as well.  Each case quantizes
the GPT and the text head, is forced over the codes that the FP32 bundle speaks to the
sentences of ``conf/search``, and takes turns with the FP32 bundle in decoding.
Writes ``reports/weight_only.{json,md}`` of the current folder, from which the defaults of
``conf/precision/{w8,w4}`` are chosen.  ``--mixes`` measures how fidelity grows with the share of
layers in 8 bits instead, and writes ``reports/weight_mixes.{json,md}``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.format.manifest import MANIFEST_NAME, Manifest
from chattts_onnx.text.prompts import Prompt
from pipeline.config import Params, load_params
from pipeline.core.command import command
from pipeline.fidelity.bundle_model import BundleModel
from pipeline.fidelity.forcing import ForcedBatch, force_reference, forced_rows
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.weight_only.graph import quantize_weights
from pipeline.report.rows import Row, conditions, find_value, make_row, select
from pipeline.report.write import (
    checkpoint_context,
    format_value,
    markdown_table,
    report_context,
    write_report,
)
from pipeline.search.judge import speak_sentences
from pipeline.studies.weight_only_cases import Case, cases, mixes

REPORT, MIXES = Path("reports/weight_only.json"), Path("reports/weight_mixes.json")
SOURCE = Path("bundles/fp32")
TITLE = "Weight-only algorithms against FP32"
GRAPHS = ("gpt", "text_head")
METRICS = ("kl_divergence", "top1_agreement", "hidden_cosine", "hidden_cosine_min")
PROMPT_TOKENS, STEPS, ROUNDS = 72, 16, 5


@dataclass(frozen=True)
class Subject:
    """One checkpoint's FP32 bundle, what it spoke, and recordings for GPTQ."""

    source: Path
    manifest: Manifest
    reference: Bundle
    batch: ForcedBatch
    recordings: list[Recording]

    def feeds(self, graph: str) -> Iterator[Feeds]:
        """Inputs of one graph over the recordings."""
        for recording in self.recordings:
            yield from graph_feeds(graph, self.manifest.model, recording)


def open_subject(workspace: Path, params: Params) -> Subject:
    """Let the FP32 bundle of ``workspace`` speak the search's and calibration's sentences."""
    source = workspace / SOURCE
    bundle = open_bundle(source, providers=PROVIDERS, verify=False)
    prompts, spoken = speak_sentences(bundle, workspace, params.search, params.seed)
    recordings = list(record(source, workspace, params.precision.w4.recording, params.seed))
    batch = force_reference(BundleModel(bundle), prompts, spoken)
    return Subject(source, Manifest.load(source, verify=False), bundle, batch, recordings)


def measure(subject: Subject, case: Case, folder: Path) -> list[Row]:
    """Fidelity, speed and size of one case, whose graphs are written to ``folder``."""
    started = time.perf_counter()
    quantized = {}
    for name in GRAPHS:
        quantized[name] = quantize_weights(
            subject.source / f"{name}.onnx", name, case.config,
            partial(subject.feeds, name), folder / f"{name}.onnx",
        )  # fmt: skip
    seconds = time.perf_counter() - started
    _link_rest(subject.source, folder)
    bundle = open_bundle(folder, providers=PROVIDERS, verify=False)
    where = {"checkpoint": str(subject.manifest.checkpoint.get("name")), **case.conditions()}
    rows = [
        {**row, **where}
        for row in forced_rows(case.variant, BundleModel(bundle), [subject.batch])
        if row["metric"] in METRICS and row.get("head", "all") in ("all", "text")
    ]
    sqnr = [weight.sqnr_db for graph in quantized.values() for weight in graph.quantized]
    size = sum((folder / f"gpt.onnx{end}").stat().st_size for end in ("", ".data"))
    speed = decode_ratio(subject.reference, bundle)
    return [
        *rows,
        make_row(case.variant, "weight_sqnr", statistics.fmean(sqnr), "dB", **where),
        make_row(case.variant, "decode_speed_ratio", speed, "× fp32", **where),
        make_row(case.variant, "gpt_size", size, "B", **where),
        make_row(case.variant, "quantize_seconds", seconds, "s", **where),
    ]


def decode_ratio(reference: Bundle, variant: Bundle) -> float:
    """Ratio of the shortest step times at batch 1; the two take turns, so that load hits both."""
    times = [(_step_seconds(reference), _step_seconds(variant)) for _ in range(ROUNDS)]
    slow, fast = (min(column) for column in zip(*times, strict=True))
    return slow / fast


def _step_seconds(bundle: Bundle) -> float:
    model = bundle.model
    decoder = bundle.decoder(1, PROMPT_TOKENS + STEPS + 1)
    ids = np.ones((PROMPT_TOKENS, model.num_vq), np.int64)
    prompt = Prompt(ids, np.ones(PROMPT_TOKENS, np.bool_))
    decoder.prefill(0, [prompt], np.zeros((1, model.hidden_size), np.float32))
    decoder.step(1)
    started = time.perf_counter()
    for _ in range(STEPS):
        decoder.step(1)
    return (time.perf_counter() - started) / STEPS


def _link_rest(source: Path, folder: Path) -> None:
    """What a bundle needs besides the graphs that were written; nothing of it is run."""
    for path in source.iterdir():
        if not (folder / path.name).exists() and not path.name.startswith(GRAPHS):
            (folder / path.name).symlink_to(path.resolve())
    assert (folder / MANIFEST_NAME).exists()


def case_table(rows: Sequence[Row]) -> str:
    """Bytes against fidelity, a line a case."""
    lines = []
    for size in select(rows, "gpt_size"):
        where, variant = conditions(size), str(size["variant"])
        found = [find_value(rows, variant, metric, head="all", **where) for metric in METRICS[:2]]
        fast = find_value(rows, variant, "decode_speed_ratio", **where)
        case = ", ".join(str(value) for key, value in where.items() if key != "checkpoint")
        figures = [size["value"] / 1e6, *found, fast]
        lines.append([f"{where['checkpoint']} {variant}: {case}", *map(format_value, figures)])
    header = ["case", "MB of the GPT", "logit KL", "top-1", "decoding, × fp32"]
    return f"## Bytes against fidelity\n\n{markdown_table(header, lines)}"


def run(params: Params, workspaces: list[Path], destination: Path, mixed: bool = False) -> None:
    """Measure every case, or mixes, on every workspace's checkpoint and write the report.

    Raises:
        BundleError: a workspace has no FP32 bundle.
        QuantizationError: a case cannot be quantized.
    """
    console = Console(stderr=True)
    rows: list[Row] = []
    checkpoints = []
    for workspace in workspaces:
        subject = open_subject(workspace, params)
        checkpoints.append(checkpoint_context(subject.manifest.checkpoint))
        context = report_context({}, PROVIDERS) | {"checkpoint": checkpoints[0]}
        context |= {"checkpoints": checkpoints, "prompts": params.search.prompts}
        w8, w4 = params.precision.w8, params.precision.w4
        layers = subject.manifest.model.num_hidden_layers
        for case in mixes(w4, layers) if mixed else cases(w8, w4):
            with tempfile.TemporaryDirectory() as scratch:
                found = measure(subject, case, Path(scratch))
            rows += found
            conditions = " ".join(str(value) for value in case.conditions().values())
            where = f"{subject.manifest.checkpoint.get('name')} {case.variant} {conditions}"
            console.print(f"{where}: KL {found[0]['value']:.4g}", highlight=False)
            # after each case: a full-size checkpoint takes minutes for every one
            sections = [case_table(rows)]
            write_report(destination, context, rows, title=TITLE, sections=sections)


@command("weight_only")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 2 with a message for a named error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspaces", nargs="*", type=Path, default=[], help="further workspaces")
    parser.add_argument("--mixes", action="store_true", help="4 and 8 bits side by side only")
    options = parser.parse_args(arguments)
    here = Path.cwd()
    report = here / (MIXES if options.mixes else REPORT)
    workspaces = [here, *options.workspaces]
    run(load_params(here / "params.yaml"), workspaces, report, options.mixes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
