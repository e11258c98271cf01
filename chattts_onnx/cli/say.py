"""``chattts-onnx say``: text to a file, standard output or a player."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..audio.formats import FORMATS, choose_format
from ..charset import argument
from ..errors import ChatTTSError, InputError
from .common import (
    Commands,
    add_bundle,
    add_options,
    add_runtime,
    given_options,
    new_command,
    open_named_bundle,
    text_options,
)
from .progress import Progress
from .say_text import add_text, dry_run, read_text

if TYPE_CHECKING:
    from ..audio.sinks import Sink
    from ..bundle import Bundle
    from ..decoding.request import Request
    from ..speech.requests import Options
    from ..speech.timing import Timings
    from ..text import Report

_EXAMPLES = """  chattts-onnx say "今天是2024年10月1日。" -b bundles/int8 -o today.wav --voice 7
  chattts-onnx say -f book.txt -b bundles/int8 -o book.mp3 --voice anna --lexicon words.yaml
  chattts-onnx say "Well..." -b bundles/int8 -o well.wav --oral 3 --laugh 1 --break 5
  chattts-onnx say -f talk.md -b bundles/int8 -o talk.mp3 --subtitles talk.srt
  chattts-onnx say "Hello." -b bundles/int8 -o - | aplay -t raw -f S16_LE -r 24000
  chattts-onnx say "Hello." -b bundles/int8 -o me.wav --clone me.wav --transcript "What I said."
  chattts-onnx say "￥1,234.50" --dry-run
  chattts-onnx say "Laser power is 5 mW." --explain
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    say = new_command(commands, "say", "speak a text into a file or a player", _EXAMPLES)
    say.set_defaults(run=run)
    add_text(say)
    _add_output(say)
    add_options(say)
    _add_clone(say)
    add_bundle(say)
    add_runtime(say)


def _add_output(say: argparse.ArgumentParser) -> None:
    group = say.add_argument_group("output")
    group.add_argument("-o", "--output", help="audio file; '-' is standard output")
    group.add_argument("--format", choices=FORMATS, help="default: the file's suffix; '-' gets raw")
    group.add_argument("--float32", action="store_true", help="float samples in wav and raw")
    group.add_argument(
        "--subtitles",
        type=Path,
        help="file (.srt, .vtt) of what is said when; makes --apart the default",
    )
    group.add_argument("--stream", action="store_true", help="decode audio while generating")
    group.add_argument(
        "--play",
        nargs="?",
        const="",
        metavar="PLAYER",
        help="play while generating; PLAYER takes raw 16-bit PCM, {rate} stands for the rate",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the normalised text and tokens, no speech"
    )
    group.add_argument(
        "--explain", action="store_true", help="as --dry-run, and why each thing is said as it is"
    )


def _add_clone(say: argparse.ArgumentParser) -> None:
    group = say.add_argument_group("cloning")
    group.add_argument(
        "--clone", type=Path, help="recording to clone, or what `voices clone` wrote"
    )
    group.add_argument("--transcript", help="what is said in the recording")


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Speak, or with ``--dry-run`` print what would be spoken."""
    if parsed.dry_run or parsed.explain:
        dry_run(parsed)
        return 0
    if parsed.output is None and parsed.play is None:
        raise InputError("nowhere to speak to; name a file with -o, or use --play or --dry-run.")
    _check_output(parsed.output, parsed.format)
    _check_subtitles(parsed)
    given_options(parsed)
    text = read_text(parsed)
    from ..format.abilities import shortfalls
    from ..text import Report

    started, report = time.perf_counter(), Report()
    bundle = open_named_bundle(parsed)
    progress, step = Progress(), bundle.model.samples_per_step / bundle.sample_rate
    options = _options(bundle, parsed)
    told: set[str] = set()

    def warn(block: str) -> str:
        for line in shortfalls(bundle.manifest, block, options):
            if line not in told:
                print(f"warning: {line}", file=sys.stderr)
            told.add(line)
        return block

    def tell(request: Request) -> None:
        progress.show(f"{request.steps} steps, {request.steps * step:.1f} s")

    from ..speech.narrate import narrate
    from ..speech.takes import Takes
    from ..speech.timing import Timings
    from ..speech.windows import StreamOptions

    takes, timings = Takes(), None if parsed.subtitles is None else Timings()
    live = parsed.stream or parsed.output == "-" or parsed.play is not None
    chunks = narrate(
        bundle,
        warn(text) if isinstance(text, str) else map(warn, text),
        parsed.voice,
        stream=StreamOptions() if live else None,
        on_step=tell,
        report=report,
        timings=timings,
        drawn=takes,
        **options,
    )
    sink = _open(bundle, parsed)
    samples = 0
    try:
        for chunk in chunks:
            progress.clear()
            sink.write(chunk)
            samples += len(chunk)
        sink.close()
    except BaseException:
        progress.clear()
        sink.abort()
        raise
    if timings is not None:
        _write_subtitles(parsed.subtitles, timings)
    spent, seconds = time.perf_counter() - started, samples / bundle.sample_rate
    where = parsed.output or "played"
    print(f"{where}: {seconds:.2f} s of speech in {spent:.2f} s", file=sys.stderr)
    if takes.refused or takes.faults:
        print(takes, file=sys.stderr)
    _tell(report)
    return 0


def _options(bundle: Bundle, parsed: argparse.Namespace) -> Options:
    own: Options = {"text_options": text_options(parsed)}
    options: Options = {**given_options(parsed), **own}
    prompt = argument(parsed.refine_prompt or "", "--refine-prompt", parsed.encoding)
    if prompt:
        options["refine_prompt"] = prompt
    if parsed.clone is not None:
        from ..speech.cloning import is_sample, load_sample, make_sample

        if is_sample(parsed.clone):
            options["sample"] = load_sample(bundle, parsed.clone)
        else:
            transcript = argument(parsed.transcript or "", "--transcript", parsed.encoding)
            options["sample"] = make_sample(bundle, parsed.clone, transcript)
    elif parsed.transcript is not None:
        raise InputError("--transcript belongs to a recording; name it with --clone.")
    return options


def _open(bundle: Bundle, parsed: argparse.Namespace) -> Sink:
    from ..audio.sinks import PlayerSink, Several, open_sink

    sinks: list[Sink] = []
    if parsed.output is not None:
        form = choose_format(parsed.output, parsed.format)
        sinks.append(open_sink(parsed.output, form, bundle.sample_rate, float32=parsed.float32))
    if parsed.play is not None:
        try:
            sinks.append(PlayerSink(parsed.play, bundle.sample_rate))
        except ChatTTSError:
            for sink in sinks:
                sink.abort()
            raise
    return sinks[0] if len(sinks) == 1 else Several(sinks)


def _check_output(output: str | None, form: str | None) -> None:
    """Say so before minutes of work when the file could not be written anyway."""
    if output is None or output == "-":
        return
    choose_format(output, form)
    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"the folder of {output} does not exist; make it first.")
    if Path(output).is_dir():
        raise InputError(f"{output} is a folder; expected the name of an audio file.")


def _check_subtitles(parsed: argparse.Namespace) -> None:
    """As :func:`_check_output`; their times are exact where each sentence is spoken by itself."""
    path: Path | None = parsed.subtitles
    if path is None:
        return
    from ..speech.subtitles import subtitle_format

    subtitle_format(path)
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of {path} does not exist; make it first.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected the name of a file.")
    parsed.apart = True if parsed.apart is None else parsed.apart


def _write_subtitles(path: Path, timings: Timings) -> None:
    from ..atomic_files import write_file
    from ..speech.subtitles import subtitle_format, subtitles

    try:
        write_file(path, subtitles(timings.sentences, subtitle_format(path)).encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _tell(report: Report) -> None:
    dropped = [c for c in report.dropped if c.kind in ("unknown symbol", "emoji", "prompt token")]
    if dropped:
        found = ", ".join(sorted({change.found for change in dropped})[:8])
        print(f"left out: {found} (see --dry-run)", file=sys.stderr)
