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
from .common import Commands, add_bundle, add_runtime, new_command, open_named_bundle
from .say_text import add_text, dry_run, read_text, text_options

if TYPE_CHECKING:
    from ..audio.sinks import Sink
    from ..bundle import Bundle
    from ..decoding.request import Request
    from ..speech.options import Options
    from ..text import Report

_EXAMPLES = """  chattts-onnx say "今天是2024年10月1日。" -b bundles/int8 -o today.wav --voice 7
  chattts-onnx say -f book.txt -b bundles/int8 -o book.mp3 --voice anna --lexicon words.yaml
  chattts-onnx say "Well..." -b bundles/int8 -o well.wav --oral 3 --laugh 1 --break 5
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
    _add_voice(say)
    add_bundle(say)
    add_runtime(say)


def _add_output(say: argparse.ArgumentParser) -> None:
    group = say.add_argument_group("output")
    group.add_argument("-o", "--output", help="audio file; '-' is standard output")
    group.add_argument("--format", choices=FORMATS, help="default: the file's suffix; '-' gets raw")
    group.add_argument("--float32", action="store_true", help="float samples in wav and raw")
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


def _add_voice(say: argparse.ArgumentParser) -> None:
    group = say.add_argument_group("voice and style")
    group.add_argument(
        "--voice", help="seed, name, file (FILE#NAME), text form, or a mix: joe(2)+ava(1)"
    )
    group.add_argument(
        "--clone", type=Path, help="recording to clone, or what `voices clone` wrote"
    )
    group.add_argument("--transcript", help="what is said in the recording")
    group.add_argument("--speed", type=int, help="0 (slow) to 9 (fast)")
    group.add_argument("--oral", type=int, help="0 to 9: how colloquial")
    group.add_argument("--laugh", type=int, help="0 to 2: how much laughter")
    group.add_argument("--break", type=int, dest="break_", help="0 to 7: how many pauses")
    group.add_argument("--refine", action="store_true", help="let the model add pauses and laughs")
    group.add_argument("--refine-prompt", default="", help="such as [oral_2][laugh_0][break_6]")
    group.add_argument("--seed", type=int, help="seed of the random draws")
    group.add_argument("--temperature", type=float, help="of sampling; lower is steadier")
    group.add_argument("--max-new-tokens", type=int, help="limit a piece, in steps of 21.3 ms")


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Speak, or with ``--dry-run`` print what would be spoken."""
    if parsed.dry_run or parsed.explain:
        dry_run(parsed)
        return 0
    if parsed.output is None and parsed.play is None:
        raise InputError("nowhere to speak to; name a file with -o, or use --play or --dry-run.")
    _check_output(parsed.output, parsed.format)
    text = read_text(parsed)
    from ..format.abilities import shortfalls
    from ..text import Report

    started, report = time.perf_counter(), Report()
    bundle = open_named_bundle(parsed)
    progress = _Progress(bundle)
    options = _options(bundle, parsed)
    for line in shortfalls(bundle.manifest, text, options):
        print(f"warning: {line}", file=sys.stderr)
    from ..speech.narrate import narrate
    from ..speech.windows import StreamOptions

    live = parsed.stream or parsed.output == "-" or parsed.play is not None
    chunks = narrate(
        bundle,
        text,
        parsed.voice,
        stream=StreamOptions() if live else None,
        on_step=progress,
        report=report,
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
    spent, seconds = time.perf_counter() - started, samples / bundle.sample_rate
    where = parsed.output or "played"
    print(f"{where}: {seconds:.2f} s of speech in {spent:.2f} s", file=sys.stderr)
    _tell(report)
    return 0


def _options(bundle: Bundle, parsed: argparse.Namespace) -> Options:
    params = bundle.default_params("code")
    if parsed.max_new_tokens is not None:
        low = min(params.min_new_tokens, parsed.max_new_tokens)
        params = params.but(max_new_tokens=parsed.max_new_tokens, min_new_tokens=max(0, low))
    if parsed.temperature is not None:
        params = params.but(temperature=parsed.temperature)
    refine_prompt = argument(parsed.refine_prompt, "--refine-prompt", parsed.encoding)
    options: Options = {
        "params": params,
        "seed": parsed.seed,
        "speed": parsed.speed,
        "oral": parsed.oral,
        "laugh": parsed.laugh,
        "break_": parsed.break_,
        "refine_prompt": refine_prompt,
        "normalize": not parsed.no_normalize,
        "text_options": text_options(parsed),
        "piece_tokens": parsed.piece_tokens,
    }
    if parsed.refine or parsed.refine_prompt:
        options["skip_refine"] = False
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


def _tell(report: Report) -> None:
    dropped = [c for c in report.dropped if c.kind in ("unknown symbol", "emoji", "prompt token")]
    if dropped:
        found = ", ".join(sorted({change.found for change in dropped})[:8])
        print(f"left out: {found} (see --dry-run)", file=sys.stderr)


class _Progress:
    """Seconds of speech so far, on one line of a terminal; silent elsewhere."""

    def __init__(self, bundle: Bundle) -> None:
        self._seconds = bundle.model.samples_per_step / bundle.sample_rate
        self._shown = 0.0
        self._active = sys.stderr.isatty()

    def __call__(self, request: Request) -> None:
        now = time.monotonic()
        if self._active and now - self._shown > 0.2:
            self._shown = now
            spoken = request.steps * self._seconds
            print(f"\r{request.steps} steps, {spoken:.1f} s", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._active and self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
