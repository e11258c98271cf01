"""Bring what workspaces measured into ``reports/``: ``python -m pipeline.studies.reports``.

``make repro CHECKPOINT=…`` leaves its reports in its workspace, which git does not keep.  Those
that the README shows come from here, each with the commit that measured it; ``make bench`` and
``make load`` write theirs in place.  What is of another commit than this one is told.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chattts_onnx.errors import ChatTTSError
from pipeline.core.atomic import write_bytes, write_json, write_text
from pipeline.core.errors import ConfigError, PipelineError
from pipeline.core.source import ORIGIN, read_source
from pipeline.report.rows import read_report

IN_PLACE = ("load", "peer", "profile", "steps", "streaming")
"""Reports that commands write into ``reports/`` of the repository themselves."""


@dataclass(frozen=True)
class Collection:
    """Reports of one workspace that are kept.

    Attributes:
        folder: below ``reports/``.
        workspace: below ``workspaces/``.
        override: what the workspace has to be composed with.
        reports: their names; ``search`` only where it was made.
    """

    folder: str
    workspace: str
    override: str
    reports: tuple[str, ...]

    @property
    def command(self) -> str:
        """What makes them."""
        group, _, value = self.override.partition("=")
        given = f"CHECKPOINT={value}" if group == "checkpoint" else f"OVERRIDES={self.override}"
        return f"make repro {given}"


COLLECTIONS = (
    Collection(
        "seeded_full", "seeded_full", "checkpoint=seeded_full",
        ("benchmark", "fusion", "search", "validation"),
    ),
    Collection(
        "mini_outliers", "mini_outliers", "checkpoint=mini_outliers", ("speech", "validation")
    ),
    Collection("thorough", "mini", "speech=thorough", ("speech",)),
)  # fmt: skip
OPTIONAL = ("search",)


def collect(root: Path, collection: Collection) -> str:
    """Copy a workspace's reports, with the commit that measured them, which is returned.

    Raises:
        ConfigError: the workspace is missing, or was made with other parameters.
        PipelineError: a report is missing; nothing is copied then.
    """
    workspace = root / "workspaces" / collection.workspace
    params, origin = workspace / "params.yaml", workspace / ORIGIN
    if not params.is_file() or not origin.is_file():
        raise ConfigError(f"{workspace}: found no finished run; run `{collection.command}`")
    composed = params.read_text(encoding="utf-8").splitlines()[0]
    if collection.override not in shlex.split(composed.replace("`", " ").replace(";", " ")):
        raise ConfigError(
            f"{params}: found {composed.strip('# ')!r}, expected {collection.override}; run "
            f"`{collection.command}`"
        )
    commit = str(json.loads(origin.read_text(encoding="utf-8"))["commit"])
    paths = [workspace / "reports" / f"{name}.json" for name in collection.reports]
    chosen = [path for path in paths if path.stem not in OPTIONAL or path.is_file()]
    for report in [read_report(path) for path in chosen]:
        target = root / "reports" / collection.folder / report.path.name
        write_json(target, {"context": {"commit": commit, **report.context}, "rows": report.rows})
        text = report.path.with_suffix(".md").read_text(encoding="utf-8")
        heading, _, rest = text.partition("\n\n")
        write_text(target.with_suffix(".md"), f"{heading}\n\n- commit: {commit}\n\n{rest}")
        picture = report.path.with_suffix(".png")
        if picture.is_file():
            write_bytes(target.with_suffix(".png"), picture.read_bytes())
    return commit


def foreign(root: Path) -> Iterator[str]:
    """A line for each report behind the README that is not of this commit."""
    now = str(read_source(root))
    paths = [root / "reports" / f"{name}.json" for name in IN_PLACE]
    for collection in COLLECTIONS:
        paths += sorted((root / "reports" / collection.folder).glob("*.json"))
    for path in paths:
        if (found := _origin(path)) != f"of commit {now[:12]}":
            yield f"{path.relative_to(root)}: {found}, this is {now[:12]}"


def _origin(path: Path) -> str:
    if not path.is_file():
        return "not made"
    try:
        commit = read_report(path).context.get("commit")
    except PipelineError:
        # kept as an earlier version wrote it
        return "of an earlier form"
    return f"of commit {commit[:12]}" if commit else "of an unknown commit"


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 where all was brought, 2 where a collection could not be."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.reports", description=__doc__.partition("\n")[0]
    )
    names = [collection.folder for collection in COLLECTIONS]
    parser.add_argument("folders", nargs="*", metavar="|".join(names), help="only these")
    given = parser.parse_args(arguments)
    failed = 0
    for name in given.folders or names:
        try:
            if name not in names:
                raise ConfigError(f"{name!r}: expected one of {', '.join(names)}")
            commit = collect(Path.cwd(), COLLECTIONS[names.index(name)])
            print(f"reports/{name}: of commit {commit}")
        except ChatTTSError as error:
            print(f"reports: {type(error).__name__}: {error}", file=sys.stderr)
            failed = 2
    for line in foreign(Path.cwd()):
        print(line)
    return failed


if __name__ == "__main__":
    sys.exit(main())
