"""``chattts-onnx verify``: archives and bundles against their checksums."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ArchiveError
from .common import Commands, new_command

_EXAMPLES = """  chattts-onnx verify dist
  chattts-onnx verify dist/chattts-onnx-0.1.0-mini-int8.tar
  chattts-onnx verify bundles/int8
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    parser = new_command(
        commands, "verify", "check archives, bundles or a whole release", _EXAMPLES
    )
    parser.add_argument(
        "path",
        nargs="+",
        type=Path,
        help="archive (or one of its parts), folder of a release, or bundle",
    )
    parser.add_argument("--pin", metavar="SHA256", help="what SHA256SUMS itself must hash to")
    parser.add_argument(
        "--no-sums", action="store_true", help="check an archive without SHA256SUMS beside it"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Check each path and say what it is."""
    for path in parsed.path:
        for line in _verify(path, parsed.pin, parsed.no_sums):
            print(line)
    return 0


def _verify(path: Path, pin: str | None, no_sums: bool) -> list[str]:
    from ..archive.sums import SUMS_NAME, Sums
    from ..format.manifest import MANIFEST_NAME, Manifest

    if (path / MANIFEST_NAME).is_file():
        manifest = Manifest.load(path)
        return [f"{path}: bundle {manifest.variant}, {len(manifest.files)} files, all as listed"]
    if path.is_dir() or path.name == SUMS_NAME:
        folder = path if path.is_dir() else path.parent
        sums = Sums.load(folder, pin)
        for name in sums.files:
            sums.check(folder / name)
        archives = [
            _archive([folder / part for part in sums.parts(name)], name) for name in sums.archives()
        ]
        return [f"{folder}: {len(sums.files)} files, all as {SUMS_NAME} says", *archives]
    if no_sums:
        if not path.is_file():
            raise ArchiveError(f"{path} not found.")
        return [_archive([path], path.name)]
    from ..archive.folder import checked_parts

    return [_archive(checked_parts(path, pin), path.name)]


def _archive(parts: list[Path], name: str) -> str:
    from ..archive.folder import check_archive

    info = check_archive(parts)
    what = f"bundle {info.manifest.variant}" if info.manifest else "folder"
    split = f" in {len(parts)} parts" if len(parts) > 1 else ""
    return f"{name}: {what}, {info.files} files, {info.bytes / 1e6:.1f} MB{split}, all as listed"
