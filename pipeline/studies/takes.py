"""What the watch over takes catches and costs: ``python -m pipeline.studies.takes``.

A bundle says held-out sentences as it would, at a high temperature, and with faults that are forced
on the first take: loops (exact and rough), silence, an end that does not come, words that are
dropped.  What is bad of the first two a recogniser says (the extra ``check``); the others are bad
by construction.  Each is said once without a watch, whose codes are then judged, once with it, and
what passed is heard as ``batch --check`` does.  Writes ``reports/takes.{json,md}`` after each
condition; started again with the same settings it goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from chattts_onnx import Bundle, GenerationError, open_bundle
from chattts_onnx.bulk.hearing import Check
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.takes import Fault, Watch
from chattts_onnx.serve.variants import revision_of
from chattts_onnx.speech.requests import make_prompt
from chattts_onnx.speech.takes import level_fault, watch_over
from chattts_onnx.speech.windows import decode_in_windows
from chattts_onnx.text import normalize
from pipeline.core.command import command
from pipeline.core.errors import BenchmarkError
from pipeline.core.sentences import load_sentences
from pipeline.core.source import read_source
from pipeline.report.rows import Row, Rows, make_row, read_report
from pipeline.report.write import (
    format_value,
    heading,
    markdown_table,
    report_context,
    write_report,
)

Ints = npt.NDArray[np.int64]
Provoke = Callable[[Ints, int, Ints], Ints]

LIMIT = 0.3
"""Share of wrong words above which a take that nothing was done to counts as bad."""
SLOTS, MOST_STEPS = 8, 600


@dataclass(frozen=True)
class Condition:
    """How takes are made bad: sampling, and what replaces the drawn codes of the first take.

    ``provoke`` maps (codes so far, step, drawn) to codes; ``endless`` forbids the end, ``dropped``
    speaks half of the words.  What is ``provoked`` is bad by construction.
    """

    name: str
    changes: dict[str, float | int]
    provoke: Provoke | None = None
    endless: bool = False
    dropped: bool = False

    @property
    def provoked(self) -> bool:
        return self.endless or self.dropped


@dataclass(eq=False)
class Provoked(Request):
    """A request whose first take goes wrong."""

    condition: Condition | None = None

    @property
    def forbid_end(self) -> bool:
        endless = self.condition is not None and self.condition.endless and not self.refused
        return endless or super().forbid_end


class ProvokingBatch(Batch):
    """Feeds back what a request's condition makes of the codes drawn; counts the steps."""

    steps = 0

    def _keep(
        self, slot: int, request: Request, tokens: Ints, hidden: npt.NDArray[np.float32]
    ) -> bool | Exception | None:
        self.steps += 1
        condition = getattr(request, "condition", None)
        if condition is not None and condition.provoke is not None and not request.refused:
            tokens = condition.provoke(request.codes.view(), request.steps, tokens)
        return super()._keep(slot, request, tokens, hidden)


def conditions(bundle: Bundle, seed: int) -> list[Condition]:
    """The sampling as it is, a hot one, and the provoked ones, which begin after a second."""
    random, start = np.random.default_rng(seed), 47
    hush = bundle.encode_audio(
        (random.standard_normal((1, 10 * bundle.sample_rate)) * 1e-4).astype(np.float32)
    )[0]

    def loop(codes: Ints, step: int, drawn: Ints) -> Ints:
        return codes[step - 30] if step >= start else drawn

    def rough(codes: Ints, step: int, drawn: Ints) -> Ints:
        kept = random.random(len(drawn)) < 0.8
        return np.where(kept, codes[step - 30], drawn) if step >= start else drawn

    def silence(codes: Ints, step: int, drawn: Ints) -> Ints:
        return hush[step % len(hush)] if step >= start else drawn

    return [
        Condition("usual", {}),
        Condition("hot", {"temperature": 2.0, "top_p": 1.0, "top_k": 0}),
        Condition("loop", {}, loop, endless=True),
        Condition("rough loop", {}, rough, endless=True),
        Condition("silence", {}, silence, endless=True),
        Condition("no end", {}, endless=True),
        Condition("half the words", {}, dropped=True),
    ]


class Ear:
    """Whether takes are wrong by a recogniser and their level; nobody listens without ``check``.

    The same take is heard once; ``seconds`` is what hearing took.
    """

    def __init__(self, bundle: Bundle, check: Check | None) -> None:
        self._bundle, self.check = bundle, check
        self.heard: dict[tuple[str, bytes], bool] = {}
        self.seconds = 0.0

    def wrong(self, text: str, request: Request) -> bool:
        """Whether ``text`` is not what the take says."""
        if request.error is not None:
            return True
        if self.check is None:
            return False
        take = text, request.codes.view().tobytes()
        if take not in self.heard:
            bundle, rate = self._bundle, self._bundle.sample_rate
            hidden = request.result().hidden
            audio = decode_in_windows(bundle.decode_hidden, bundle.model, hidden)
            started = time.perf_counter()
            errors = self.check.errors(text, audio, rate)
            self.seconds += time.perf_counter() - started
            self.heard[take] = level_fault(audio, rate) is not None or errors > self.check.limit
        return self.heard[take]


def measure(
    bundle: Bundle, texts: Sequence[str], check: Check | None, takes: int, condition: Condition,
    seed: int,
) -> list[Row]:  # fmt: skip
    """Rows of one condition; without ``check`` nobody hears bad takes.

    Raises:
        BenchmarkError: the bundle's takes are not watched.
    """
    if watch_over(bundle, texts[0], GenerationParams()) is None:
        raise BenchmarkError("this bundle's takes are not watched; expected a trained checkpoint.")
    ear, started = Ear(bundle, check), time.perf_counter()
    plain, steps = _speak(bundle, texts, condition, seed, 1)
    spent = time.perf_counter() - started
    watched, drawn = _speak(bundle, texts, condition, seed, takes)
    watches = [_watch(bundle, text) for text in texts]
    found = [_found(watch, request) for watch, request in zip(watches, plain, strict=True)]
    bad = [condition.provoked or ear.wrong(*pair) for pair in _pairs(texts, plain)]
    good = [at for at, is_bad in zip(found, bad, strict=True) if not is_bad]
    caught = [at for at, is_bad in zip(found, bad, strict=True) if is_bad]
    late = [at for at in caught if at is not None]
    values = {
        "takes": (len(texts), ""),
        "bad": (sum(bad), ""),
        "bad_caught": (_share(caught), "%"),
        "good_refused": (_share(good), "%"),
        "noticed_at": (median(late) * _step(bundle) if late else float("nan"), "s"),
        "still_bad": (_left(condition, ear, texts, watched), ""),
        "steps_over_unwatched": (100.0 * (drawn / steps - 1), "%"),
        "looking": (100.0 * _looking(watches, plain) / spent, "%"),
        "speaking": (spent / len(texts), "s"),
    }
    if check is not None:
        values |= _checked(bundle, ear, texts, watched, condition)
    return [
        make_row(bundle.manifest.variant, name, value, unit, condition=condition.name)
        for name, (value, unit) in values.items()
    ]


def _checked(
    bundle: Bundle, ear: Ear, texts: Sequence[str], watched: list[Request], condition: Condition
) -> dict[str, tuple[float, str]]:
    """What hearing finds of the takes that the watch let pass, and what drawing again leaves."""
    wrong = [
        number
        for number, pair in enumerate(_pairs(texts, watched))
        if pair[1].fault is None and ear.wrong(*pair)
    ]
    passed = [number for number, request in enumerate(watched) if request.fault is None]
    kept, refused = list(watched), wrong
    while refused:
        again = {n: kept[n].another(Fault.UNHEARD) for n in refused}
        drawn = {n: request for n, request in again.items() if request is not None}
        for number, request in drawn.items():
            # A take of all the words, where the first one dropped some.
            request.prompt = make_prompt(bundle, texts[number], None, True)
            kept[number] = request
        _run(bundle, list(drawn.values()))
        refused = [n for n in drawn if ear.wrong(texts[n], kept[n])]
    return {
        "heard_wrong": (100.0 * len(wrong) / len(passed) if passed else float("nan"), "%"),
        "still_bad_checked": (_left(condition, ear, texts, kept), ""),
        "hearing": (ear.seconds / max(1, len(ear.heard)), "s"),
    }


def _left(condition: Condition, ear: Ear, texts: Sequence[str], requests: Sequence[Request]) -> int:
    """Takes that are wrong in the end; those that drop words do so until they are heard."""
    return sum(
        request.fault is not None
        or (condition.dropped and Fault.UNHEARD not in request.refused)
        or ear.wrong(text, request)
        for text, request in _pairs(texts, requests)
    )


def _pairs(texts: Sequence[str], requests: Sequence[Request]) -> list[tuple[str, Request]]:
    return list(zip(texts, requests, strict=True))


def _speak(
    bundle: Bundle, texts: Sequence[str], condition: Condition, seed: int, takes: int
) -> tuple[list[Request], int]:
    changes = {"max_new_tokens": MOST_STEPS, "takes": takes, **condition.changes}
    params = bundle.default_params().but(**changes)
    voices = sorted(bundle.shelf.names) or ["7"]
    requests: list[Request] = []
    for number, text in enumerate(texts):
        said = " ".join(text.split()[: len(text.split()) // 2]) if condition.dropped else text
        requests.append(
            Provoked(
                make_prompt(bundle, said, None, True),
                params,
                bundle.speaker(voices[number % len(voices)]),
                seed + number,
                watch=_watch(bundle, text) if takes > 1 else None,
                condition=condition,
            )
        )
    return requests, _run(bundle, requests)


def _run(bundle: Bundle, requests: list[Request]) -> int:
    """Speak them all; the steps that it took."""
    if not requests:
        return 0
    length = max(len(request.prompt) for request in requests) + MOST_STEPS
    batch = ProvokingBatch(bundle.decoder(SLOTS, length))
    batch.run(requests)
    return batch.steps


def _watch(bundle: Bundle, text: str) -> Watch:
    return watch_over(bundle, text, bundle.default_params()) or Watch()


def _found(watch: Watch, request: Request) -> int | None:
    """The step at which the watch refuses a take, None where it lets it pass."""
    if isinstance(request.error, GenerationError):
        return 0
    codes = request.codes.view()
    at = next((n for n in range(1, len(codes) + 1) if watch.look(codes[:n])), None)
    if at is None and request.finished and watch.ended(len(codes)):
        return len(codes)
    return at


def _looking(watches: Sequence[Watch], requests: Sequence[Request]) -> float:
    """Seconds of all looks at the takes."""
    started = time.perf_counter()
    for watch, request in zip(watches, requests, strict=True):
        codes = request.codes.view()
        for steps in range(1, len(codes) + 1):
            watch.look(codes[:steps])
    return time.perf_counter() - started


def _share(found: Sequence[int | None]) -> float:
    return 100.0 * sum(at is not None for at in found) / len(found) if found else float("nan")


def _step(bundle: Bundle) -> float:
    return bundle.model.samples_per_step / bundle.sample_rate


@command("takes")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="What the watch over takes catches and costs.")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/int8"))
    parser.add_argument("--report", type=Path, default=Path("reports/takes.json"))
    parser.add_argument(
        "--sentences", type=Path, default=Path("calibration_data/mini_heldout.jsonl")
    )
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--takes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anew", action="store_true", help="measure all conditions again")
    parser.add_argument("--no-check", action="store_true", help="no recogniser")
    options = parser.parse_args(arguments)
    bundle = open_bundle(options.bundle)
    texts = [normalize(s.text).text for s in load_sentences(options.sentences)[: options.count]]
    check = None if options.no_check else Check(LIMIT)
    context = report_context(
        bundle.manifest.checkpoint, bundle.providers[0], threads=bundle.config.threads,
        takes=options.takes, seed=options.seed, listener=check is not None,
        bundle=revision_of(options.bundle), commit=str(read_source(Path(__file__).parent)),
    )  # fmt: skip
    rows = [] if options.anew else kept_rows(options.report, context, len(texts))
    for condition in conditions(bundle, options.seed):
        if condition.name in {row["condition"] for row in rows}:
            continue
        print(f"{condition.name} …", file=sys.stderr, flush=True)
        rows += measure(bundle, texts, check, options.takes, condition, options.seed)
        write_takes(options.report, context, rows)
    return 0


def kept_rows(path: Path, context: Mapping[str, Any], count: int) -> list[Row]:
    """Rows of a report of the same settings, bundle and code; none of another."""
    if not path.is_file():
        return []
    report = read_report(path)
    same = all(
        report.context.get(key) == context[key]
        for key in ("takes", "seed", "listener", "bundle", "commit", "threads")
    )
    counted = {row["value"] for row in report.rows if row["metric"] == "takes"}
    return list(report.rows) if same and counted == {count} else []


def write_takes(path: Path, context: Mapping[str, Any], rows: Rows) -> None:
    """The report, whose one table shows all rows."""
    write_report(path, context, rows, title=TITLE, sections=[_table(rows), NOTES], details=False)


def _table(rows: Rows) -> str:
    """A line for each condition."""
    units = {str(row["metric"]): str(row["unit"]) for row in rows}
    header = ["Condition", *(heading(name, unit) for name, unit in units.items())]
    lines = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = {row["metric"]: row["value"] for row in rows if row["condition"] == condition}
        lines.append([condition, *(format_value(own.get(name), 3) for name in units)])
    return markdown_table(header, lines)


TITLE = "Takes that went wrong"


NOTES = """\
- *Bad*: takes of those said without a watch that are wrong: by a recogniser (over 30 % of the words
  not heard, or silence), or by construction. *bad caught* and *good refused* are shares of them and
  of the others.
- *Noticed at*: median second of the take at which it is stopped; what is forced begins at 1.0 s.
- *Still bad*: what is wrong when each may be drawn as often as the context says. What drops words
  does so in every take until it is heard, since another take begins where the prompt ended.
- *Heard wrong*: share of the takes which the watch let pass that `batch --check` draws again, and
  *still bad checked* what is wrong after that; *hearing* is the time that it took for a take,
  beside that of the steps of one (*speaking*), eight of which are made at once.
- *Steps over unwatched*: steps of all takes together, over those of the single ones. Where takes
  never end, stopping them saves more than drawing them again costs.
- *Looking*: time of the looks over the time of the steps, on the machine as it was."""


if __name__ == "__main__":
    sys.exit(main())
