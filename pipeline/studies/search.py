"""The accuracy-driven search: ``make search``, or ``python -m pipeline.studies.search``.

Needs ``bundles/fp32`` and ``build/calibration``.  Writes the log ``build/search/log.jsonl``, from
which a stopped search goes on, the parameters found as ``build/search/found.yaml`` (with
``--write`` also where ``conf/`` takes them up) and ``reports/search.{json,md,png}``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import yaml
from rich.console import Console

from pipeline.config import Params, load_params
from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.quantization.config import Int8Config
from pipeline.report.machine import peak_memory_bytes
from pipeline.report.rows import Row, make_row
from pipeline.report.write import report_context, write_report
from pipeline.search.evaluate import SOURCE, Evaluator, search_inputs
from pipeline.search.greedy import Greedy, Outcome
from pipeline.search.journal import Journal
from pipeline.search.judge import COMPONENTS, Judge
from pipeline.search.search_report import (
    candidates,
    draw_front,
    gate_table,
    steps_table,
    summary_section,
)
from pipeline.search.space import cost, with_integer_cache
from pipeline.search.speed import steps_per_second
from pipeline.search.verdict import chosen_gates, verdict
from pipeline.studies.opening import evaluator_of

LOG = Path("build/search/log.jsonl")
FOUND = Path("build/search/found.yaml")
ADOPTED = Path("conf/precision/int8/found")
REPORT = Path("reports/search.json")

Settings = Mapping[str, Int8Config]


def run(params: Params, workspace: Path, components: list[str], minutes: float | None) -> Outcome:
    """See the module's docstring.

    Raises:
        ConfigError: a gate, the target or the sentences are wrong.
        PipelineError: the log is of another search.
    """
    console = Console(stderr=True)
    config = params.search
    base = with_integer_cache(params.precision.int8)
    with evaluator_of(params, workspace) as evaluator:
        inputs = search_inputs(config, base, evaluator, params.seed)
        evaluator.journal = Journal(workspace / LOG, inputs)
        evaluator.evaluations = config.evaluations
        evaluator.seconds = 60 * (minutes or config.minutes)
        evaluator.say = lambda line: console.print(line, highlight=False, markup=False)
        outcome = Greedy(evaluator, base, components, config.ranking).run()
        write_text(workspace / FOUND, _yaml(outcome.config))
        settings = {"everything quantized": outcome.start, "found": outcome.config}
        _report(params, workspace, evaluator, outcome, settings)
    return outcome


def _report(
    params: Params, workspace: Path, evaluator: Evaluator, outcome: Outcome, settings: Settings
) -> None:
    manifest, journal = evaluator.builder.manifest, evaluator.journal
    assert journal is not None
    folders = _bundles(evaluator, settings)
    speeds = steps_per_second({"fp32": workspace / SOURCE, **folders}, evaluator.judge.threads)
    rows: list[Row] = []
    variant = params.search.variant
    for name, speed in speeds.items():
        where = {"candidate": name, "batch": 1}
        rows.append(make_row(variant, "steps_per_second", speed, "1/s", **where))
        ratio = speed / speeds["everything quantized"]
        rows.append(make_row(variant, "speed_share", ratio, "of everything quantized", **where))
    gpt = evaluator.component_layers("gpt")
    for name, config in settings.items():
        share = cost(config, gpt) / cost(outcome.start, gpt)
        unit = "of everything quantized"
        rows.append(make_row(variant, "weight_bytes_share", share, unit, candidate=name))
    # only now, and for the report only: sentences that no decision has seen
    heldout = replace(params.search, sentences=params.validate.sentences)
    unseen = Judge.open(workspace / SOURCE, workspace, heldout, params.seed)
    gates = chosen_gates(
        params.validate.gates, params.search.variant, params.search.gates, margin=0.0
    )
    tables = []
    for name, folder in folders.items():
        for data, judge in (("tuning", evaluator.judge), ("held-out", unseen)):
            found = judge.rows(folder, COMPONENTS, variant)
            rows += [{**row, "candidate": name, "data": data} for row in found]
            results = verdict(found, gates, variant).results
            tables += [[name, data, result] for result in results]
    context = report_context(
        manifest.checkpoint, PROVIDERS, evaluations=len(journal.entries),
        minutes=round(journal.seconds / 60, 2), threads=params.search.threads,
        peak_memory_bytes=peak_memory_bytes(), target=outcome.config.target,
        ended=outcome.spent or ("gates kept" if all(outcome.passed.values()) else "gates broken"),
        candidates=candidates(journal.entries),
    )  # fmt: skip
    sections = [
        summary_section(outcome, evaluator.layers),
        gate_table(tables),
        steps_table(journal.entries),
    ]
    write_report(
        workspace / REPORT, context, rows, title="Accuracy-driven search",
        sections=sections, picture=True,
    )  # fmt: skip
    draw_front((workspace / REPORT).with_suffix(".png"), context["candidates"], rows)


def _bundles(evaluator: Evaluator, settings: Settings) -> dict[str, Path]:
    graphs = list(evaluator.builder.manifest.graphs)
    return {
        name: evaluator.build(config, evaluator.scratch / name.replace(" ", "_"), graphs)
        for name, config in settings.items()
    }


def _yaml(config: Int8Config) -> str:
    values = asdict(config)
    chosen = {name: values[name] for name in ("calibrator", "exclude_names", "repairs", "cache")}
    body = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=100)
    return f"# Found by `make search WRITE=1`; reports/search.md says how.\n{body}"


@command("search")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 where gates stay broken, 2 with a message for a named error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies.search", description=__doc__)
    parser.add_argument("--minutes", type=float, help="instead of search.minutes")
    parser.add_argument(
        "--write", action="store_true",
        help="put what was found into conf/precision/int8/found/<checkpoint>.yaml, too",
    )  # fmt: skip
    parser.add_argument("--components", nargs="+", choices=COMPONENTS, default=list(COMPONENTS))
    options = parser.parse_args(arguments)
    here = Path.cwd()
    params = load_params(here / "params.yaml")
    outcome = run(params, here, options.components, options.minutes)
    if options.write and all(outcome.passed.values()) and outcome.spent is None:
        name = f"{params.checkpoint.name}.yaml"
        write_text(here / ADOPTED / name, (here / FOUND).read_text(encoding="utf-8"))
    if outcome.spent:
        print(f"search: {outcome.spent}", file=sys.stderr)
    return 0 if outcome.spent is None and all(outcome.passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
