"""``chattts-onnx batch``: a corpus to shards of audio with a manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .common import (
    Commands,
    add_bundle,
    add_options,
    add_runtime,
    bundle_folder,
    given_options,
    new_command,
    open_named_bundle,
    text_options,
)
from .progress import Progress

if TYPE_CHECKING:
    from ..bulk import Findings, Job

# Lines failed, all others are spoken.
EXIT_SOME_FAILED = 1
_EXAMPLES = """  chattts-onnx batch corpus.jsonl -o speech -b bundles/int8 --voice 7
  chattts-onnx batch corpus.csv -o speech -b bundles/int8 --column text=sentence --dry-run
  chattts-onnx batch *.parquet -o speech -b bundles/int8 --format flac --shard-lines 5000
  chattts-onnx batch corpus.jsonl -o /shared/speech -b /shared/int8 --ray auto --workers 4
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    batch = new_command(commands, "batch", "speak a corpus into shards of audio files", _EXAMPLES)
    batch.add_argument("corpus", nargs="+", type=Path, help="JSONL, CSV, TSV, Parquet or text")
    batch.add_argument("-o", "--output", type=Path, required=True, help="folder; resumed if begun")
    add_bundle(batch)
    add_runtime(batch)
    _add_corpus(batch)
    add_options(batch)
    _add_output(batch)
    _add_ray(batch)
    batch.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Speak, or say what would be spoken; 1 when lines failed."""
    from ..bulk import check, run

    bundle_folder(parsed)
    job = make_job(parsed)
    if parsed.strict or parsed.dry_run:
        found = check(job.corpus, open_named_bundle(parsed), job.settings)
        if parsed.dry_run:
            return _tell(job, found)
        found.require_good()
    progress = Progress(parsed.quiet, every=0.5, elsewhere=60.0)
    if parsed.ray is not None:
        from ..bulk.cluster import Cluster, run_on_ray

        cluster = Cluster(
            parsed.ray, parsed.workers, parsed.cpus_per_worker, parsed.gpus_per_worker
        )
        summary = run_on_ray(job, cluster, parsed.slots, _runtime(parsed), progress.show)
    else:
        summary = run(job, open_named_bundle(parsed, huge_pages=True), parsed.slots, progress.show)
    progress.clear()
    print(f"{job.output}: {summary}", file=sys.stderr)
    return EXIT_SOME_FAILED if summary.failed else 0


def make_job(parsed: argparse.Namespace) -> Job:
    """The job the arguments describe, its corpus counted."""
    from ..bulk import Corpus, Defaults, Job, Settings, scan

    columns = tuple(_column(text) for text in parsed.column)
    corpus = Corpus(tuple(parsed.corpus), columns, parsed.delimiter, parsed.encoding)
    options = given_options(parsed)
    seed = options.pop("seed", None) or 0
    if parsed.subtitles:
        options.setdefault("apart", True)
    settings = Settings(
        defaults=Defaults(parsed.voice, seed, options),
        format=parsed.format,
        container=parsed.container,
        shard_lines=parsed.shard_lines,
        text_options=text_options(parsed),
        keep_text=not parsed.no_text,
        subtitles=parsed.subtitles,
        check=parsed.check,
    )
    found = scan(corpus, settings.shard_lines)
    return Job(corpus, found, bundle_folder(parsed), parsed.output, settings)


def _add_corpus(batch: argparse.ArgumentParser) -> None:
    group = batch.add_argument_group("corpus")
    group.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="name of a column: text, id, voice or an option below; may be repeated",
    )
    group.add_argument("--delimiter", help="of CSV (default: a comma, in .tsv a tab)")
    group.add_argument("--strict", action="store_true", help="refuse a corpus with bad lines")
    group.add_argument("--dry-run", action="store_true", help="count and check, speak nothing")


def _add_output(batch: argparse.ArgumentParser) -> None:
    group = batch.add_argument_group("output")
    group.add_argument("--format", choices=("wav", "flac"), default="wav")
    group.add_argument("--container", choices=("tar", "folder"), default="tar", help="of a shard")
    group.add_argument("--shard-lines", type=int, default=1000, help="lines of a shard")
    group.add_argument(
        "--subtitles",
        choices=("srt", "vtt"),
        help="beside each file; makes --apart the default",
    )
    group.add_argument("--no-text", action="store_true", help="of it only a hash in the manifest")
    group.add_argument(
        "--check",
        type=float,
        nargs="?",
        const=0.3,
        metavar="ERRORS",
        help="let Whisper hear each piece and draw it again above this share of wrong words "
        "(0.3; needs the extra check)",
    )
    group.add_argument("--slots", type=int, default=8, help="lines spoken at once (default: 8)")
    group.add_argument("--quiet", action="store_true", help="no progress")


def _add_ray(batch: argparse.ArgumentParser) -> None:
    group = batch.add_argument_group("cluster")
    group.add_argument(
        "--ray", metavar="ADDRESS", help="speak on a Ray cluster: its address, auto, or local"
    )
    group.add_argument("--workers", type=int, default=1, help="bundles opened on the cluster")
    group.add_argument("--cpus-per-worker", type=float, default=1)
    group.add_argument("--gpus-per-worker", type=float, default=0)


def _runtime(parsed: argparse.Namespace) -> dict[str, Any]:
    return {
        "providers": parsed.provider,
        "threads": parsed.threads,
        "verify": not parsed.no_verify,
    }


def _column(text: str) -> tuple[str, str]:
    ours, separator, theirs = text.partition("=")
    if not separator or not theirs:
        raise InputError(f"--column is {text!r}; expected OURS=THEIRS such as text=sentence.")
    return ours, theirs


def _tell(job: Job, found: Findings) -> int:
    from ..bulk import Store

    finished = len(job.shards) - len(Store(job).pending())
    print(f"{found.lines:,} lines in {len(job.shards):,} shards, {finished:,} of them finished")
    print(f"{found.characters:,} characters, {found.pieces:,} pieces, {found.tokens:,} tokens")
    print(f"{found.failed:,} lines can't be spoken")
    for number, error in found.bad:
        print(f"  line {number}: {error}")
    if found.failed > len(found.bad):
        print(f"  and {found.failed - len(found.bad):,} more")
    for warning, count in found.warnings.items():
        print(f"{count:,} lines: {warning}")
    return EXIT_SOME_FAILED if found.failed else 0
