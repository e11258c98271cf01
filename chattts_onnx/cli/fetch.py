"""``chattts-onnx fetch``: a bundle from a release, checked before it is used."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Commands, new_command
from .progress import Progress

_EXAMPLES = """  chattts-onnx fetch https://example.org/v0.1.0/ --variant int8 -o bundles/int8
  chattts-onnx fetch https://example.org/v0.1.0/chattts-onnx-0.1.0-mini-int8.tar
  chattts-onnx fetch dist --variant w8 -o bundles/w8
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    parser = new_command(commands, "fetch", "get and unpack a bundle of a release", _EXAMPLES)
    parser.add_argument("source", help="https URL or path of an archive or of its release's folder")
    parser.add_argument("--variant", help="which bundle of a folder, such as int8")
    parser.add_argument("-o", "--output", type=Path, help="new folder (default: archive's name)")
    parser.add_argument("--pin", metavar="SHA256", help="what SHA256SUMS itself must hash to")
    parser.add_argument("--keep", action="store_true", help="keep the downloaded archive as well")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Fetch, check, unpack."""
    from ..archive.fetch import Fetch, fetch

    progress = Progress(parsed.quiet)

    def tell(name: str, done: int, total: int | None) -> None:
        whole = f" of {total / 1e6:.0f}" if total else ""
        progress.show(f"{name}: {done / 1e6:.0f}{whole} MB")

    options = Fetch(parsed.variant, parsed.pin, parsed.keep, progress=tell)
    try:
        folder, info = fetch(parsed.source, parsed.output, options)
    finally:
        progress.clear()
    what = f"bundle {info.manifest.variant}" if info.manifest else "files"
    print(f"{folder}: {what}, {info.files} files, {info.bytes / 1e6:.1f} MB, checked")
    return 0
