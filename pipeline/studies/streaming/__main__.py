"""What a stream costs by its length: ``python -m pipeline.studies.streaming``.

Turns the states of utterances of 128 to 2048 steps into audio, four ways: in windows with the exact
look-ahead, in windows with a short one, all at once when generation has ended (no stream at all),
and as ChatTTS streams, which decodes everything again each 24 steps.  Windows and the whole grow
with the length, decoding again with its square; the report holds the measured slopes.
Writes ``reports/streaming.{json,md,png}``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from chattts_onnx import Bundle, StreamOptions, open_bundle
from chattts_onnx.speech.windows import AudioStream
from pipeline.core.command import command
from pipeline.core.errors import BenchmarkError
from pipeline.core.source import read_source
from pipeline.fidelity.models import Array
from pipeline.report.machine import machine_load
from pipeline.report.rows import Row, make_row, select
from pipeline.report.write import report_context, write_report
from pipeline.studies.streaming.report import draw_streaming, streaming_section

LENGTHS = (128, 256, 512, 1024, 2048)
AGAIN_EVERY = 24
"""Steps after which ChatTTS 0.2.5 decodes the whole utterance so far once more."""

EXACT, SHORT, WHOLE, AGAIN = "windows, exact", "windows, look-ahead", "whole", "again each 24"


def measure(
    bundle: Bundle, lengths: Sequence[int], look_ahead: int, rounds: int, again_up_to: int
) -> list[Row]:
    """Rows ``stream_seconds`` for each mode and length, ``max_error``, ``slope`` and ``r_squared``.

    Args:
        bundle: what decodes.
        lengths: utterances, in steps.
        look_ahead: steps of the short look-ahead.
        rounds: repeats, in which the modes take turns.
        again_up_to: the longest utterance that is decoded again and again (once, not ``rounds``
            times: its cost grows with the square).

    Raises:
        BenchmarkError: fewer than two lengths, from which nothing can be fitted.
    """
    if len(set(lengths)) < 2:
        raise BenchmarkError(f"lengths are {list(lengths)}, expected two or more to fit a line.")
    variant = bundle.manifest.variant
    modes = {EXACT: None, SHORT: look_ahead}
    rows: list[Row] = []
    for steps in lengths:
        hidden = _states(bundle, steps)
        whole = bundle.decode_hidden(hidden[None])[0]
        taken: dict[str, list[float]] = {}
        errors: dict[str, float] = {}
        for _ in range(rounds):
            taken.setdefault(WHOLE, []).append(_seconds(partial(_whole, bundle, hidden))[0])
            for mode, ahead in modes.items():
                seconds, audio = _seconds(partial(_stream, bundle, hidden, ahead))
                taken.setdefault(mode, []).append(seconds)
                errors[mode] = float(np.abs(audio - whole).max())
        if steps <= again_up_to:
            taken[AGAIN] = [_seconds(partial(_again, bundle, hidden))[0]]
        rows += [_row(variant, mode, steps, seconds) for mode, seconds in taken.items()]
        rows += [_error(variant, mode, steps, value) for mode, value in errors.items()]
    return [*rows, *fits(rows)]


def fits(rows: Sequence[Row]) -> Iterator[Row]:
    """Of each mode the slope of log time over log steps, and R² of a straight line through times.

    A slope of 1 is linear, of 2 quadratic.
    """
    times = select(rows, "stream_seconds")
    for mode in dict.fromkeys(row["mode"] for row in times):
        own = select(times, mode=mode)
        steps = np.array([row["steps"] for row in own], dtype=np.float64)
        seconds = np.array([row["value"] for row in own])
        if len(own) < 2:
            continue
        slope = float(np.polyfit(np.log(steps), np.log(seconds), 1)[0])
        line = np.polyval(np.polyfit(steps, seconds, 1), steps)
        spread = float(np.square(seconds - seconds.mean()).sum())
        r_squared = 1 - float(np.square(seconds - line).sum()) / spread
        variant = str(own[0]["variant"])
        yield make_row(variant, "slope", slope, "", mode=mode)
        yield make_row(variant, "r_squared", r_squared, "", mode=mode)


def _states(bundle: Bundle, steps: int) -> Array:
    """States of no utterance: the work does not depend on their values."""
    random = np.random.default_rng(steps)
    return random.standard_normal((steps, bundle.model.hidden_size)).astype(np.float32)


def _whole(bundle: Bundle, hidden: Array) -> Array:
    waveform: Array = bundle.decode_hidden(hidden[None])[0]
    return waveform


def _stream(bundle: Bundle, hidden: Array, look_ahead: int | None) -> Array:
    """All chunks joined, pushed step by step as a generation does."""
    stream = AudioStream(bundle.decode_hidden, bundle.model, StreamOptions(look_ahead=look_ahead))
    chunks: list[Array] = []
    for steps in range(1, len(hidden)):
        chunks += stream.push(hidden[:steps])
    return np.concatenate([*chunks, *stream.finish(hidden)])


def _again(bundle: Bundle, hidden: Array) -> Array:
    for steps in range(AGAIN_EVERY, len(hidden), AGAIN_EVERY):
        bundle.decode_hidden(hidden[None, :steps])
    return _whole(bundle, hidden)


def _seconds(work: Callable[[], Array]) -> tuple[float, Array]:
    started = time.perf_counter()
    audio = work()
    return time.perf_counter() - started, audio


def _row(variant: str, mode: str, steps: int, seconds: list[float]) -> Row:
    return make_row(
        variant, "stream_seconds", median(seconds), "s", mode=mode, steps=steps,
        min=min(seconds), max=max(seconds), repeats=len(seconds),
    )  # fmt: skip


def _error(variant: str, mode: str, steps: int, value: float) -> Row:
    return make_row(variant, "max_error", value, "", mode=mode, steps=steps)


@command("streaming")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Time streams of growing length.")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/int8"))
    parser.add_argument("--report", type=Path, default=Path("reports/streaming.json"))
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--look-ahead", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--again-up-to", type=int, default=1024)
    options = parser.parse_args(arguments)
    bundle, load = open_bundle(options.bundle, huge_pages=True), machine_load()
    chosen = (options.lengths, options.look_ahead, options.rounds, options.again_up_to)
    rows = measure(bundle, *chosen)
    context = report_context(
        bundle.manifest.checkpoint, bundle.providers[0], threads=bundle.config.threads,
        load=load, look_ahead=options.look_ahead, rounds=options.rounds,
        commit=str(read_source(Path(__file__).parent)),
    )  # fmt: skip
    section = streaming_section(rows, context)
    write_report(options.report, context, rows, title="Streams by length", sections=section)
    draw_streaming(options.report.with_suffix(".png"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
