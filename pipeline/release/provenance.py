"""Where a release came from, in the form of a SLSA provenance statement (in-toto, v1).

The statement is not signed; the release workflow has the same facts attested by GitHub, which
signs them.  https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from chattts_onnx.format.files import hash_file
from pipeline.core.errors import ReleaseError
from pipeline.core.source import read_source

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:chattts-onnx:dvc-repro:v1"
# Stages that come after what is released, or are it.
LATER_STAGES = frozenset({"release", "track"})


def upstream_lock_hash(path: Path) -> str | None:
    """sha256 over ``dvc.lock`` without the stages that come after the bundles, None without it."""
    if not path.is_file():
        return None
    lock = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    stages = {k: v for k, v in lock.get("stages", {}).items() if k not in LATER_STAGES}
    text = json.dumps({**lock, "stages": stages}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def statement(
    workspace: Path,
    subjects: Sequence[Path],
    checkpoint: Mapping[str, Any],
    tools: Mapping[str, str],
    version: str,
) -> dict[str, Any]:
    """The provenance of ``subjects``: commit, parameters, lock file, checkpoint, versions.

    Raises:
        ReleaseError: there is nothing whose origin could be stated.
    """
    if not subjects:
        raise ReleaseError("found no archives to state the origin of; release.variants is empty.")
    source = read_source(workspace)
    dependencies: list[dict[str, Any]] = [
        {"name": "source", "digest": {"gitCommit": source.commit}},
        {"name": "params.yaml", "digest": {"sha256": hash_file(workspace / "params.yaml")}},
        *(
            {"name": f"checkpoint/{name}", "digest": {"sha256": entry["sha256"]}}
            for name, entry in sorted(checkpoint.get("files", {}).items())
        ),
        *({"uri": f"pkg:pypi/{name}@{pinned}"} for name, pinned in sorted(tools.items())),
    ]
    lock = upstream_lock_hash(workspace / "dvc.lock")
    if lock is not None:
        dependencies.append(
            {
                "name": "dvc.lock",
                "digest": {"sha256": lock},
                "annotations": {"form": f"stages without {', '.join(sorted(LATER_STAGES))}"},
            }
        )
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": path.name, "digest": {"sha256": hash_file(path)}} for path in subjects
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "command": "dvc repro",
                    "checkpoint": {
                        key: checkpoint.get(key) for key in ("name", "kind", "source", "revision")
                    },
                    "version": version,
                },
                "internalParameters": {"changed": source.changed},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": "pipeline.stages.release"}},
        },
    }
