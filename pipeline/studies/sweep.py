"""The same space searched by Optuna: ``python -m pipeline.studies.sweep``, or ``make sweep``.

Several processes share one study.  ``--storage`` names it: by default a journal file below
``build/search``, which may lie on a shared file system so that several machines work on it, or any
database URL that Optuna takes.  Run it again, anywhere, to add trials.

Two objectives are minimized, bytes of weights and loss of the GPT, and a trial that breaks gates
is infeasible.  Writes ``reports/sweep.{json,md,png}``, where the search's result stands beside the
study's when it is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.config import Params, load_params
from pipeline.core.command import command
from pipeline.core.errors import ConfigError, PipelineError
from pipeline.core.process import Process
from pipeline.core.strict import parse_strictly
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.quantization.config import Int8Config
from pipeline.quantization.kv_cache import CacheConfig
from pipeline.report.rows import Row, make_row
from pipeline.report.write import format_value, markdown_table, report_context, write_report
from pipeline.search.effect import loss_of
from pipeline.search.evaluate import SOURCE, Evaluator
from pipeline.search.search_report import draw_front
from pipeline.search.space import (
    everything_quantized,
    form_of,
    with_form,
    with_integer_cache,
    with_repair,
)
from pipeline.search.speed import steps_per_second
from pipeline.studies.opening import evaluator_of
from pipeline.studies.search import LOG, RESULT

if TYPE_CHECKING:
    from optuna.trial import Trial

STUDY = "int8"
STORAGE = Path("build/search/optuna.journal")
REPORT = Path("reports/sweep.json")
COMPONENT = "gpt"
TIMED = 6
"""Candidates of the front that are timed, evenly spread."""


def import_optuna() -> Any:
    """Optuna, which only the sweep needs.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "the sweep needs Optuna, which is not installed; pip install 'chattts-onnx[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(name: str) -> Any:
    """A journal file, or a database where ``name`` is a URL."""
    optuna = import_optuna()
    if "://" in name:
        return optuna.storages.RDBStorage(name)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(name)
    return optuna.storages.JournalStorage(backend)


def suggest(trial: Trial, base: Int8Config, evaluator: Evaluator) -> Int8Config:
    """A candidate of the search's own space."""
    config = everything_quantized(with_integer_cache(base))
    changes: dict[str, object] = {
        "calibrator": trial.suggest_categorical("calibrator", ["percentile", "mse", "minmax"]),
        "weight_clipping": trial.suggest_categorical("weight_clipping", [False, True]),
        "bias_correction": trial.suggest_categorical("bias_correction", [False, True]),
    }
    if trial.suggest_categorical("cache", ["int8", "float"]) == "float":
        changes["cache"] = CacheConfig()
    config = with_repair(config, changes)
    for layer in evaluator.component_layers(COMPONENT):
        form = trial.suggest_categorical(layer.path, list(layer.ladder))
        config = with_form(config, layer, str(form))
    return config


def work(params: Params, workspace: Path, storage: str, trials: int, seed: int) -> None:
    """One worker: ``trials`` trials of the study in ``storage``."""
    optuna = import_optuna()
    base = params.precision.int8
    with evaluator_of(params, workspace, [COMPONENT]) as evaluator:

        def objective(trial: Trial) -> tuple[float, float]:
            config = suggest(trial, base, evaluator)
            found = evaluator.measure(config, COMPONENT, f"trial {trial.number}")
            trial.set_user_attr("config", json.dumps(asdict(config)))
            trial.set_user_attr("violation", found.violation)
            trial.set_user_attr("rows", json.dumps(found.rows))
            return found.cost, loss_of(found.rows)

        study = optuna.load_study(
            study_name=STUDY, storage=open_storage(storage), sampler=_sampler(optuna, seed)
        )
        study.optimize(objective, n_trials=trials)


def _sampler(optuna: Any, seed: int) -> Any:
    def constraint(trial: Any) -> tuple[float]:
        return (float(trial.user_attrs.get("violation", 1.0)),)

    return optuna.samplers.TPESampler(
        seed=seed, constraints_func=constraint, n_startup_trials=10, constant_liar=True
    )


def create(params: Params, workspace: Path, storage: str) -> None:
    """Create the study where there is none, with everything quantized as its first trial."""
    optuna = import_optuna()
    study = optuna.create_study(
        study_name=STUDY, storage=open_storage(storage), load_if_exists=True,
        directions=["minimize", "minimize"],
    )  # fmt: skip
    if not study.trials:
        first = {"calibrator": params.precision.int8.calibrator,
                 "weight_clipping": False, "bias_correction": False, "cache": "int8"}  # fmt: skip
        study.enqueue_trial(first if first["calibrator"] != "entropy" else {})


def run(params: Params, workspace: Path, storage: str, trials: int, workers: int) -> None:
    """Run ``workers`` processes, then write the report.

    Raises:
        ConfigError: Optuna is not installed.
        PipelineError: a worker failed.
    """
    create(params, workspace, storage)
    console = Console(stderr=True)
    shares = [trials // workers + (index < trials % workers) for index in range(workers)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Process(
                [sys.executable, "-m", "pipeline.studies.sweep", "--worker", str(index),
                 "--storage", storage, "--trials", str(share)],
                folder=workspace,
            ))
            for index, share in enumerate(shares) if share
        ]  # fmt: skip
        console.print(f"sweep: {trials} trials in {len(processes)} processes, storage {storage}")
        failed = [process.last_words for process in processes if process.wait() != 0]
    if failed:
        raise PipelineError(
            f"{len(failed)} of {len(processes)} workers failed; run the sweep again: finished "
            f"trials are kept. The first one said: {failed[0]}"
        )
    report(params, workspace, storage)


def report(params: Params, workspace: Path, storage: str) -> None:
    """Write ``reports/sweep.{json,md,png}`` from the study and, if there is one, the search."""
    optuna = import_optuna()
    study = optuna.load_study(study_name=STUDY, storage=open_storage(storage))
    done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    entries = [
        {"component": COMPONENT, "step": f"trial {t.number}", "cost": t.values[0],
         "violation": t.user_attrs["violation"], "rows": json.loads(t.user_attrs["rows"])}
        for t in done
    ]  # fmt: skip
    searched = _search_entries(workspace)
    start = everything_quantized(with_integer_cache(params.precision.int8))
    candidates = {"everything quantized": start}
    best = {f"trial {t.number}": t for t in study.best_trials if t.user_attrs["violation"] == 0}
    for name in _spread(sorted(best, key=lambda name: best[name].values[0])):
        candidates[name] = parse_strictly(json.loads(best[name].user_attrs["config"]), Int8Config)
    if (workspace / RESULT).is_file():
        result = json.loads((workspace / RESULT).read_text(encoding="utf-8"))
        candidates["search"] = parse_strictly(result["config"], Int8Config)
    rows: list[Row] = []
    lines = []
    with evaluator_of(params, workspace, [COMPONENT]) as evaluator:
        measured = {
            name: evaluator.measure(config, COMPONENT, name) for name, config in candidates.items()
        }
        folders = {
            name: evaluator.build(config, evaluator.scratch / f"timed-{index}", [COMPONENT])
            for index, (name, config) in enumerate(candidates.items())
        }
        speeds = steps_per_second({"fp32": workspace / SOURCE, **folders}, evaluator.judge.threads)
        layers = evaluator.component_layers(COMPONENT)
        for name, found in measured.items():
            share = speeds[name] / speeds["everything quantized"]
            heads = [
                float(row["value"]) for row in found.rows
                if row["metric"] == "top1_agreement" and row.get("head") != "all"
            ]  # fmt: skip
            where = {"candidate": name}
            rows += [
                make_row("int8", "loss", loss_of(found.rows), "nat", **where),
                make_row("int8", "weight_bytes", found.cost, "B", **where),
                make_row("int8", "speed_share", share, "of everything quantized", **where),
            ]
            better = sum(form_of(found.config, layer) != "static" for layer in layers)
            lines.append(
                [
                    name, format_value(loss_of(found.rows)), f"{min(heads):.2%}",
                    "kept" if found.passed else "broken", f"{found.cost / 1e6:.3f}",
                    f"{better} of {len(layers)}", f"{speeds[name]:.0f}", f"{share:.0%}",
                ]
            )  # fmt: skip
        manifest = evaluator.builder.manifest
    context = report_context(
        manifest.checkpoint, PROVIDERS, trials=len(done), search_evaluations=len(searched),
        feasible=sum(entry["violation"] == 0 for entry in entries),
    )  # fmt: skip
    header = ["candidate", "logit KL", "top-1, worst head", "gates", "MB of weights",
              "layers not static", "steps/s", "of everything quantized"]  # fmt: skip
    section = "## Feasible front of the study, and the search's result\n\n" + markdown_table(
        header, lines
    )
    write_report(
        workspace / REPORT, context, rows, title="Optuna study", sections=[section], picture=True
    )
    series = {"optuna": entries, "search": searched}
    draw_front((workspace / REPORT).with_suffix(".png"), series, speeds)


def _spread(names: list[str]) -> list[str]:
    if len(names) <= TIMED:
        return names
    return [names[round(i * (len(names) - 1) / (TIMED - 1))] for i in range(TIMED)]


def _search_entries(workspace: Path) -> list[dict[str, Any]]:
    path = workspace / LOG
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


@command("sweep")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 2 with a message for a named error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies.sweep", description=__doc__)
    parser.add_argument("--storage", default=str(STORAGE), help="a journal file or database URL")
    parser.add_argument("--trials", type=int, help="instead of search.trials")
    parser.add_argument("--workers", type=int, help="instead of search.workers")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    here = Path.cwd()
    params = load_params(here / "params.yaml")
    trials = options.trials or params.search.trials
    if options.worker is not None:
        work(params, here, options.storage, trials, params.seed + options.worker)
    else:
        workers = options.workers or params.search.workers
        run(params, here, options.storage, trials, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
