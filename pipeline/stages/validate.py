"""Compare every bundle with the FP32 PyTorch reference and stop the one that fails a gate.

Reads ``build/checkpoint``, ``bundles/<variant>`` and held-out sentences; writes
``reports/validation.{json,md,png}`` and ``samples/<variant>/<nn>.wav``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from chattts_onnx.format.manifest import Manifest
from pipeline.checkpoint.record import read_record
from pipeline.config import Params
from pipeline.core.atomic import output_directory
from pipeline.core.progress import progress_bar
from pipeline.core.sentences import load_sentences
from pipeline.fidelity.bundle_model import opened_bundle
from pipeline.fidelity.free import FreeRun
from pipeline.fidelity.models import Candidate
from pipeline.fidelity.reference_model import ReferenceModel
from pipeline.fidelity.validate import METRICS, Opener, Trial, validate
from pipeline.fidelity.validation_report import draw_validation, sections
from pipeline.graphs.products import ARITHMETIC, product_rows, product_table
from pipeline.report.gates import check_gates, enforce, judge
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

CHECKPOINT = Path("build/checkpoint")
BUNDLES = Path("bundles")
REPORT = Path("reports/validation.json")
SAMPLES = Path("samples")
CONFIG = "conf/validate"
TITLE = "Validation against the FP32 reference"


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: a gate names an unknown variant or metric, or sentences are unusable.
        BundleError: a variant's bundle is missing or damaged.
        GateError: a variant failed, or gave NaN or infinity; the report is written first.
    """
    config = params.validate
    check_gates(config.gates, config.variants, METRICS, CONFIG)
    sentences = load_sentences(workspace / config.sentences, config.prompts)[: config.prompts]
    for variant in config.variants:
        Manifest.load(workspace / BUNDLES / variant, verify=False)
    reference = ReferenceModel.load(workspace / CHECKPOINT, config.threads)
    placement: dict[str, Any] = {}
    threads = config.threads or None
    openers: dict[str, Opener] = {
        variant: partial(_opened, workspace / BUNDLES / variant, threads, variant, placement)
        for variant in config.variants
    }
    prompts = [reference.prompt(sentence) for sentence in sentences]
    total = len(prompts) * (1 + len(openers))
    with (
        output_directory(workspace / SAMPLES) as samples,
        progress_bar("validate", total) as advance,
    ):
        trial = Trial(
            prompts=prompts,
            batch=config.batch,
            free_run=FreeRun(config.steps, config.min_steps, params.seed),
            audio_format=reference.audio_format,
            samples=samples,
            sample_count=config.samples,
            progress=advance,
        )
        rows = validate(reference, openers, trial)
    for variant in config.variants:
        rows += product_rows(variant, workspace / BUNDLES / variant)
    results = judge(rows, config.gates, CONFIG)
    provider = sorted({entry["providers"][0] for entry in placement.values()})
    context = report_context(
        asdict(read_record(workspace / CHECKPOINT)),
        provider,
        prompts=len(prompts),
        seed=params.seed,
        placement=placement,
        gates=[result.as_dict() for result in results],
    )
    blocks = [*sections(context, results), f"## {ARITHMETIC}\n\n{product_table(rows)}"]
    write_report(workspace / REPORT, context, rows, title=TITLE, sections=blocks, picture=True)
    draw_validation((workspace / REPORT).with_suffix(".png"), rows)
    enforce(results, "reports/validation.md", CONFIG)


@contextmanager
def _opened(
    path: Path, threads: int | None, variant: str, placement: dict[str, Any]
) -> Iterator[Candidate]:
    """The bundle's model; where its nodes ran is noted once they have."""
    with opened_bundle(path, threads) as model:
        yield model
        placement[variant] = model.placement()


if __name__ == "__main__":
    stage_main("validate", run)
