"""Let every bundle speak held-out sentences, and judge what a listener would notice.

Reads ``bundles/<variant>`` and sentences; writes ``reports/speech.{json,md,png}`` and
``listen.html``.  A broken gate stops the pipeline after these are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chattts_onnx import open_bundle
from chattts_onnx.bundle import Bundle
from chattts_onnx.format.abilities import has_random_weights
from chattts_onnx.format.manifest import Manifest
from pipeline.config import Params
from pipeline.core.atomic import write_text
from pipeline.core.errors import ConfigError
from pipeline.core.progress import progress_bar
from pipeline.core.sentences import Sentence, load_sentences
from pipeline.core.tools import check_tools
from pipeline.report.gates import Gates, check_gates, enforce, judge
from pipeline.report.machine import tool_versions, usable_cores
from pipeline.report.write import report_context, write_report
from pipeline.speech.config import SpeechConfig
from pipeline.speech.figures import ALL, METRICS, Judgement, Judges, speech_rows
from pipeline.speech.judges import Listener, OpinionScore, VoiceEncoder
from pipeline.speech.page import render_page
from pipeline.speech.report import CONTROL_SUFFIX, draw_speech, sections
from pipeline.speech.teacher import teacher_judgements
from pipeline.speech.utterances import Line, Utterance, make_lines, speak
from pipeline.stages._runner import stage_main

BUNDLES = Path("bundles")
REPORT = Path("reports/speech.json")
PAGE = Path("listen.html")
CONFIG = "conf/speech"
TITLE = "What a listener notices"
# Seeds of the control lie far from those of the sentences.
CONTROL_SEEDS = 1_000_000


@dataclass(frozen=True)
class Task:
    """What each variant has to say, and within which limits."""

    lines: list[Line]
    min_steps: int
    max_steps: int


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: a gate, the sentences, a judge's version or ``speaks`` do not fit.
        BundleError: a variant's bundle is missing or damaged.
        SpeechError: a judge is missing or does not know the language.
        GateError: a variant broke a gate; the report is written first.
    """
    config = params.speech
    check_gates(config.gates, config.variants, METRICS, CONFIG)
    check_tools(config.tools)
    for variant in config.variants:
        Manifest.load(workspace / BUNDLES / variant, verify=False)
    checkpoint = Manifest.load(workspace / BUNDLES / config.baseline, verify=False).checkpoint
    if config.speaks and has_random_weights(checkpoint):
        raise ConfigError(
            "checkpoint.speaks is true, but the bundles were made from random weights; expected "
            "false in conf/checkpoint."
        )
    sentences, left_out = choose_sentences(workspace / config.sentences, config)
    task = make_task(config, sentences, params.seed)
    taught = teacher_judgements(workspace / config.teacher, task.lines) if config.teacher else []
    judges = make_judges(config)
    with progress_bar(
        "speech", len(task.lines) * (len(config.variants) + config.control)
    ) as advance:
        judged, steps = judge_all(workspace, config, task, judges, advance)
    rows = speech_rows(judged, config.baseline, config.resamples, params.seed, taught)
    verdicts = judge(rows, whole_gates(config.gates), CONFIG) if config.speaks else []
    context = report_context(
        checkpoint,
        sorted({step["provider"] for step in steps.values()}),
        steps=steps,
        speaks=config.speaks,
        sentences=len(sentences),
        takes=config.takes,
        languages=sorted({sentence.language for sentence in sentences}),
        languages_left_out=left_out,
        listener=config.listener.model,
        judges=tool_versions(list(config.tools)),
        seed=params.seed,
        gates=[verdict.as_dict() for verdict in verdicts],
        utterances={name: [_noted(item) for item in items] for name, items in judged.items()},
    )
    blocks = sections(context, rows, verdicts)
    write_report(workspace / REPORT, context, rows, title=TITLE, sections=blocks, picture=True)
    heading = TITLE if config.speaks else f"{TITLE} (random weights: noise)"
    draw_speech((workspace / REPORT).with_suffix(".png"), heading, rows)
    page = render_page(
        f"{checkpoint.get('name')}: {TITLE.lower()}", rows, judged, config.page, not config.speaks
    )
    write_text(workspace / PAGE, page)
    enforce(verdicts, "reports/speech.md and listen.html", CONFIG)


def whole_gates(gates: Gates) -> Gates:
    """Gates over all sentences, where they name no language or set."""
    whole = {"language": ALL, "set": ALL}
    return {
        variant: [replace(gate, where={**whole, **gate.where}) for gate in limits]
        for variant, limits in gates.items()
    }


def choose_sentences(path: Path, config: SpeechConfig) -> tuple[list[Sentence], list[str]]:
    """The sentences to say, and the languages that the file has besides.

    Raises:
        ConfigError: the file has fewer sentences of these languages than are asked for.
    """
    found = load_sentences(path)
    fitting = [sentence for sentence in found if sentence.language in config.languages]
    wanted = config.count if config.speaks else min(config.count, config.random.count)
    if not fitting:
        raise ConfigError(
            f"{path}: found no sentence in {', '.join(config.languages)}, expected some; change "
            "speech.languages or speech.sentences."
        )
    left_out = sorted({sentence.language for sentence in found} - set(config.languages))
    return fitting[:wanted], left_out


def make_task(config: SpeechConfig, sentences: Sequence[Sentence], seed: int) -> Task:
    """Default sampling to the end; random weights are kept within their own bounds."""
    lines = make_lines(sentences, config.takes, config.voices, seed)
    if config.speaks:
        return Task(lines, 0, config.max_steps)
    return Task(lines, config.random.min_steps, config.random.max_steps)


def make_judges(config: SpeechConfig) -> Judges:
    """Load all judges.

    Raises:
        SpeechError: one is missing.
        ConfigError: the listener knows English alone and is to hear Chinese.
    """
    listener = Listener(config.listener, 1)
    foreign = sorted(set(config.languages) - {"en"})
    if foreign and not listener.multilingual:
        raise ConfigError(
            f"speech.listener.model {config.listener.model!r} knows English only, expected one "
            f"that knows {', '.join(foreign)}; name a multilingual one or "
            "take these out of speech.languages."
        )
    return Judges(listener, OpinionScore(1), VoiceEncoder())


def judge_all(
    workspace: Path,
    config: SpeechConfig,
    task: Task,
    judges: Judges,
    advance: Callable[[str], None],
) -> tuple[dict[str, list[Judgement]], dict[str, dict[str, str]]]:
    """Judgements by variant, the baseline's control last, and what ran the bundles.

    One bundle is open at a time.
    """
    steps: dict[str, dict[str, str]] = {}
    judged: dict[str, list[Judgement]] = {}
    control: list[Judgement] = []
    for variant in config.variants:
        bundle = open_bundle(workspace / BUNDLES / variant, threads=config.threads or None)
        steps[variant] = {"provider": bundle.providers[0], "step": str(bundle.step)}
        said = _say(bundle, config, task)
        judged[variant] = _hear(judges, said, lambda name=variant: advance(name))  # type: ignore[misc]
        if config.control and variant == config.baseline:
            moved = [replace(line, seed=line.seed + CONTROL_SEEDS) for line in task.lines]
            again = _say(bundle, config, replace(task, lines=moved))
            control = _hear(judges, again, lambda: advance("control"))
    if control:
        judged[f"{config.baseline}{CONTROL_SUFFIX}"] = control
    return judged, steps


def _say(bundle: Bundle, config: SpeechConfig, task: Task) -> list[Utterance]:
    return speak(bundle, task.lines, config.batch, task.max_steps, task.min_steps)


def _hear(
    judges: Judges, utterances: Sequence[Utterance], advance: Callable[[], None]
) -> list[Judgement]:
    """Judge on every core: each judge runs on one, and holds no lock while it does."""

    def judge(utterance: Utterance) -> Judgement:
        judgement = judges(utterance)
        advance()
        return judgement

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(judge, utterances))


def _noted(item: Judgement) -> Mapping[str, Any]:
    """An utterance as the report's JSON keeps it."""
    return {
        "text": item.utterance.line.text,
        "language": item.utterance.line.language,
        "set": item.utterance.line.set,
        "voice": item.utterance.line.voice,
        "seed": item.utterance.line.seed,
        "heard": item.heard,
        "word_errors": item.errors.word_errors,
        "words": item.errors.words,
        "syllable_errors": item.errors.syllable_errors,
        "syllables": item.errors.syllables,
        "p808": round(item.p808, 3),
        "ovrl": round(item.overall, 3),
        "seconds": round(item.utterance.seconds, 3),
        "finished": item.utterance.finished,
    }


if __name__ == "__main__":
    stage_main("speech", run)
