"""What a finished pipeline left in its workspace, read for recording."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import TrackingError
from pipeline.core.source import read_source
from pipeline.core.strict import read_yaml
from pipeline.report.rows import Row

REPORT_SUFFIXES = (".json", ".md", ".png")
LISTENING_PAGE = "listen.html"
# The track stage writes its own entry after it has run, so a hash with it would never repeat.
OWN_STAGE = "track"


@dataclass(frozen=True)
class Variant:
    """One variant's rows of each report, with the files that belong to it alone."""

    name: str
    reports: dict[str, list[Row]]
    manifest: Path | None
    samples: list[Path]

    @property
    def rows(self) -> list[Row]:
        """Its rows of all reports."""
        return [row for rows in self.reports.values() for row in rows]


@dataclass(frozen=True)
class Results:
    """Everything that one run of the pipeline made and that is worth recording.

    Attributes:
        params: ``params.yaml`` as plain mappings.
        files: parameters, lock file, reports and listening page, which belong to the whole run.
        variants: every variant named by a report, a bundle or a folder of samples.
        rows: rows that name no variant, by report.
        contexts: context of each report that has one, by its name.
        git_commit: commit of the code, with ``-dirty`` where files differ, or ``unknown``.
        lock_hash: sha256 of ``dvc.lock`` without the track stage, or ``none``.
        content_hash: sha256 over all of the above; equal where a record would be a duplicate.
    """

    params: dict[str, Any]
    files: list[Path]
    variants: list[Variant]
    rows: dict[str, list[Row]]
    contexts: dict[str, dict[str, Any]]
    git_commit: str
    lock_hash: str
    content_hash: str


def read_results(workspace: Path) -> Results:
    """Read a workspace whose stages up to ``benchmark`` have run.

    Raises:
        TrackingError: there are no reports, or one is damaged.
    """
    reports = sorted(_reports(workspace))
    rows = {path.stem: _rows(path) for path in reports if path.suffix == ".json"}
    reported = {str(row["variant"]) for own in rows.values() for row in own if row.get("variant")}
    names = sorted(reported | _folders(workspace))
    variants = [_variant(workspace, name, rows) for name in names]
    lock_hash = dvc_lock_hash(workspace / "dvc.lock")
    pages = [path for path in [workspace / LISTENING_PAGE] if path.is_file()]
    files = [workspace / "params.yaml", *reports, *pages]
    owned = [path for variant in variants for path in (variant.manifest, *variant.samples) if path]
    return Results(
        params=read_yaml(workspace / "params.yaml"),
        files=[path for path in [*files, workspace / "dvc.lock"] if path.is_file()],
        variants=variants,
        rows=_chosen(rows, ""),
        contexts={path.stem: _context(path) for path in reports if path.suffix == ".json"},
        git_commit=str(read_source(workspace)),
        lock_hash=lock_hash,
        content_hash=_content_hash(workspace, [*files, *owned], lock_hash),
    )


def dvc_lock_hash(path: Path) -> str:
    """sha256 of ``dvc.lock`` without the track stage's entry, or ``none`` without a file."""
    if not path.is_file():
        return "none"
    lock = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    stages = {name: entry for name, entry in lock.get("stages", {}).items() if name != OWN_STAGE}
    text = json.dumps({**lock, "stages": stages}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as ``{"precision.int8.calibrator": "minmax"}``; lists become JSON text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, str):
            flat[name] = value
        else:
            flat[name] = json.dumps(value, ensure_ascii=False)
    return flat


def _reports(workspace: Path) -> Iterable[Path]:
    """The reports that stages wrote; studies and other machines leave theirs in the same folder."""
    folder = workspace / "reports"
    if not folder.is_dir():
        raise TrackingError(f"{folder}: found no reports, expected those of the earlier stages")
    lock = workspace / "dvc.lock"
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    outs = [str(out.get("path")) for stage in stages.values() for out in stage.get("outs", [])]
    made = {Path(out).name for out in outs if out.startswith("reports/")}
    return (
        path
        for path in folder.iterdir()
        if path.suffix in REPORT_SUFFIXES and (path.name in made or not made)
    )


def _context(path: Path) -> dict[str, Any]:
    context = json.loads(path.read_text(encoding="utf-8")).get("context")
    return dict(context) if isinstance(context, dict) else {}


def _rows(path: Path) -> list[Row]:
    """Rows of a report; a report of another form is attached as a file only."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8")).get("rows", [])
    except (ValueError, AttributeError) as error:
        raise TrackingError(f"{path}: found no report, expected a JSON object") from error
    for number, row in enumerate(rows):
        missing = {"metric", "value"} - row.keys()
        if missing:
            lacks = ", ".join(sorted(missing))
            raise TrackingError(f"{path}: row {number} has no {lacks}, found {row}")
    return list(rows)


def _folders(workspace: Path) -> set[str]:
    """Variants that have a bundle or samples, the reference among them."""
    return {
        path.parent.name
        for pattern in ("bundles/[!.]*/manifest.json", "samples/[!.]*/*.wav")
        for path in workspace.glob(pattern)
    }


def _chosen(rows: Mapping[str, list[Row]], variant: str) -> dict[str, list[Row]]:
    """The rows of a variant ('' for those of none), without reports that have none."""
    chosen = {
        report: [row for row in own if (row.get("variant") or "") == variant]
        for report, own in rows.items()
    }
    return {report: own for report, own in chosen.items() if own}


def _variant(workspace: Path, name: str, rows: Mapping[str, list[Row]]) -> Variant:
    manifest = workspace / "bundles" / name / "manifest.json"
    return Variant(
        name=name,
        reports=_chosen(rows, name),
        manifest=manifest if manifest.is_file() else None,
        samples=sorted((workspace / "samples" / name).glob("*.wav")),
    )


def _content_hash(workspace: Path, files: list[Path], lock_hash: str) -> str:
    digest = hashlib.sha256(lock_hash.encode())
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(workspace).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
