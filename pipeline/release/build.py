"""Put ``dist/`` together: archives, checksums, model card, SBOM, provenance.

chattts-onnx-<version>-<checkpoint>-<variant>.tar     one a bundle, or its parts .001, .002, …
chattts-onnx-<version>-<checkpoint>-triton.tar        a Triton model repository
chattts_onnx_<checkpoint>-<version>-py3-none-any.whl  the bundle that pip installs
README.md                                             the model card
sbom.cdx.json  provenance.json  release.json  SHA256SUMS
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chattts_onnx import __version__
from chattts_onnx.format.manifest import Manifest
from pipeline.core.atomic import write_json, write_text
from pipeline.core.errors import ReleaseError
from pipeline.release.archive import bundle_archive, folder_archive, joined_sha256, write_checksums
from pipeline.release.card import model_card
from pipeline.release.config import ReleaseConfig
from pipeline.release.licences import Weights, weights_licence
from pipeline.release.provenance import statement
from pipeline.release.reports import read_measured
from pipeline.release.sbom import sbom
from pipeline.release.triton.config import TritonConfig
from pipeline.release.triton.repository import write_repository
from pipeline.release.wheel import bundle_wheel

BUNDLES = Path("bundles")
TRITON = "triton"
WHEEL = "wheel"
CARD = "README.md"
SBOM = "sbom.cdx.json"
PROVENANCE = "provenance.json"
INDEX = "release.json"

Archives = Mapping[str, list[Path]]


def build_release(
    workspace: Path,
    config: ReleaseConfig,
    tools: Mapping[str, str],
    folder: Path,
) -> None:
    """Write a release of the workspace's bundles into the empty ``folder``.

    Args:
        workspace: holds ``bundles/``, ``reports/``, ``params.yaml``.
        config: which variants, how archives are split.
        tools: versions that the outputs depend on.
        folder: where files are written.

    Raises:
        BundleError: a bundle is missing or damaged.
        ReleaseError: a report is missing, or bundles are of different checkpoints.
    """
    measured = read_measured(workspace)
    bundles = {
        name: Manifest.load(workspace / BUNDLES / name, verify=False) for name in config.variants
    }
    checkpoint = _one_checkpoint(bundles, measured.checkpoint)
    weights = weights_licence(checkpoint)
    name = f"chattts-onnx-{__version__}-{checkpoint['name']}"
    archives = {
        variant: bundle_archive(
            workspace / BUNDLES / variant, folder / f"{name}-{variant}.tar", config.part_bytes
        )
        for variant in bundles
    }
    if config.triton is not None:
        archives[TRITON] = _triton_archive(
            workspace, config.triton, folder / f"{name}-{TRITON}.tar", config.part_bytes
        )
    if config.wheel is not None:
        wheel = bundle_wheel(workspace / BUNDLES / config.wheel, weights.licence, folder)
        archives |= {WHEEL: [wheel]} if wheel else {}
    flat = [path for parts in archives.values() for path in parts]
    files = {v: [(p.name, p.stat().st_size) for p in parts] for v, parts in archives.items()}
    write_text(folder / CARD, model_card(name, bundles, measured, weights, files))
    write_json(folder / SBOM, sbom(__version__, bundles, flat, tools))
    if flat:
        origin = statement(workspace, flat, checkpoint, tools, __version__)
        write_json(folder / PROVENANCE, origin)
    write_json(folder / INDEX, _index(name, archives, bundles, weights))
    write_checksums(folder)


def _triton_archive(
    workspace: Path, config: TritonConfig, archive: Path, part_bytes: int
) -> list[Path]:
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        repository = Path(scratch) / TRITON
        write_repository(workspace / BUNDLES / config.variant, repository, config)
        return folder_archive(repository, archive, part_bytes)


def _one_checkpoint(bundles: Mapping[str, Manifest], reported: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint record that all bundles and the reports share."""
    records = {name: dict(manifest.checkpoint) for name, manifest in bundles.items()}
    for variant, record in records.items():
        found = (record.get("name"), record.get("revision"))
        expected = (reported.get("name"), reported.get("revision"))
        if found != expected:
            raise ReleaseError(
                f"bundle {variant} is of checkpoint {found}, the reports of {expected}; "
                "run `dvc repro`."
            )
    return next(iter(records.values()), dict(reported))


def _index(
    name: str, archives: Archives, bundles: Mapping[str, Manifest], weights: Weights
) -> dict[str, Any]:
    """For programs: what is in the release, and whether it may be published as it is."""
    entries = {
        variant: {
            "files": [path.name for path in parts],
            "bytes": sum(path.stat().st_size for path in parts),
            "sha256": joined_sha256(parts),
            "bundle": variant in bundles,
        }
        for variant, parts in archives.items()
    }
    return {
        "name": name,
        "version": __version__,
        "weights_licence": weights.licence,
        "non_commercial": weights.non_commercial,
        "refusal": weights.refusal,
        "archives": entries,
    }
