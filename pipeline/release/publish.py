"""May this release go out?  ``python -m pipeline.release.publish dist [--tag v0.1.0]``.

The release workflow runs it before it uploads anything: every file is checked as a user's
``chattts-onnx verify`` would, and weights that forbid commercial use, or whose licence is not known
to be open, are refused without a flag.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from chattts_onnx.archive.folder import check_archive
from chattts_onnx.archive.sums import Sums
from pipeline.core.command import command
from pipeline.core.errors import ReleaseError
from pipeline.release.build import INDEX, PROVENANCE


def check_release(folder: Path, tag: str | None, allow_non_commercial: bool) -> list[str]:
    """Names of the files to upload.

    Raises:
        ArchiveError: a file is not what ``SHA256SUMS`` says.
        ReleaseError: the release may not go out.
    """
    sums = Sums.load(folder)
    for name in sums.files:
        sums.check(folder / name)
    for archive in sums.archives():
        check_archive([folder / part for part in sums.parts(archive)])
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not index["archives"]:
        raise ReleaseError(f"{folder}: holds no archives; see release.variants.")
    refusal = index["refusal"]
    if refusal and not (allow_non_commercial and index["non_commercial"]):
        remedy = (
            "pass --allow-non-commercial if every use it is meant for is allowed"
            if index["non_commercial"]
            else "state an open licence in conf/checkpoint"
        )
        raise ReleaseError(f"{folder}: {refusal}; {remedy}.")
    if tag is not None:
        _check_tag(folder, tag, index["version"])
    return sorted([*sums.files, "SHA256SUMS"])


def _check_tag(folder: Path, tag: str, version: str) -> None:
    """A tag is of the version that was built, from a tree that is the commit's."""
    if tag != f"v{version}":
        raise ReleaseError(
            f"{folder}: is version {version}, the tag is {tag}; expected v{version}."
        )
    origin = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    changed = origin["predicate"]["buildDefinition"]["internalParameters"]["changed"]
    if changed:
        raise ReleaseError(
            f"{folder}: made from a tree with changes in {', '.join(changed[:5])}; commit first."
        )


@command("publish", OSError, ValueError, KeyError)
def main(arguments: list[str] | None = None) -> int:
    """Entry point: print the files to upload; exit status 2 for a refusal."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.release.publish", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("dist"))
    parser.add_argument("--tag", help="git tag that is being released")
    parser.add_argument(
        "--allow-non-commercial", action="store_true", help="publish CC BY-NC weights and the like"
    )
    given = parser.parse_args(arguments)
    files = check_release(given.folder, given.tag, given.allow_non_commercial)
    print("\n".join(str(given.folder / name) for name in files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
