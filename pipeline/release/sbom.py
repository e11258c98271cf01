"""What a bundle needs to run and was made with, as a CycloneDX 1.6 document.

Written by hand, since the few fields used are plain JSON; a test holds it against the standard's
own schema.  https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from chattts_onnx.format.files import hash_file
from chattts_onnx.format.manifest import Manifest
from pipeline.core.tools import ALTERNATIVES, installed_version
from pipeline.release.licences import CODE_LICENCE

RUNTIME = ("numpy", "onnxruntime", "tokenizers")
_NAMESPACE = uuid.UUID("6f0f4b5e-4f5c-5a2b-9a53-6b8a3ad2f2f1")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def sbom(
    version: str, bundles: Mapping[str, Manifest], archives: Sequence[Path], tools: Iterable[str]
) -> dict[str, Any]:
    """The document: runtime packages, the models, and the packages that made them (excluded).

    Args:
        version: of this distribution.
        bundles: manifest of each variant.
        archives: files that hold them, whose hashes identify this document.
        tools: distributions that the outputs depend on.
    """
    runtime = _with_requirements(RUNTIME)
    build = sorted(set(tools) - set(runtime))
    models = [_model(name, manifest) for name, manifest in sorted(bundles.items())]
    packages = [_package(name, "required") for name in runtime]
    makers = [_package(name, "excluded") for name in build]
    product = f"pkg:pypi/chattts-onnx@{version}"
    digests = "".join(hash_file(path) for path in archives)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # of the content, so that equal releases have equal documents; hence no time either
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digests + version)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": product,
                "name": "chattts-onnx",
                "version": version,
                "purl": product,
                "licenses": [{"license": {"id": CODE_LICENCE}}],
            }
        },
        "components": [*models, *packages, *makers],
        "dependencies": [
            {"ref": product, "dependsOn": [entry["bom-ref"] for entry in packages]},
            *({"ref": entry["bom-ref"], "dependsOn": [product]} for entry in models),
        ],
    }


def _model(variant: str, manifest: Manifest) -> dict[str, Any]:
    checkpoint = manifest.checkpoint
    name = f"{checkpoint.get('name')}-{variant}"
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{name}",
        "name": name,
        "version": str(checkpoint.get("revision") or "unknown"),
        "licenses": [{"license": {"name": str(checkpoint.get("license") or "unknown")}}],
        "properties": [
            {"name": f"chattts-onnx:sha256:{file}", "value": info.sha256}
            for file, info in sorted(manifest.files.items())
        ],
    }


def _package(name: str, scope: str) -> dict[str, Any]:
    distribution = _distribution(name)
    found = installed_version(name) or "unknown"
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{found}",
        "name": name,
        "version": found,
        "purl": f"pkg:pypi/{name}@{found}",
        "scope": scope,
    }
    licence = _licence(distribution)
    if licence:
        kind = "expression" if distribution and _expression(distribution) else "license"
        value = licence if kind == "expression" else {"name": licence}
        entry["licenses"] = [{kind: value}]
    return entry


def _with_requirements(names: Iterable[str]) -> list[str]:
    """The packages and everything they need at run time, by name."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        distribution = _distribution(name)
        found.add(name)
        for line in (distribution.requires if distribution else None) or []:
            match = _REQUIREMENT.match(line)
            # An extra's requirements are not installed with the package.
            if match and "extra ==" not in line and _distribution(match[1]):
                waiting.append(match[1].lower().replace("_", "-"))
    return sorted(found)


def _distribution(name: str) -> metadata.Distribution | None:
    for candidate in ALTERNATIVES.get(name, (name,)):
        try:
            return metadata.distribution(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _expression(distribution: metadata.Distribution) -> str | None:
    return _field(distribution, "License-Expression")


def _field(distribution: metadata.Distribution, name: str) -> str | None:
    values = distribution.metadata.get_all(name) or []
    return str(values[0]).strip() if values else None


def _licence(distribution: metadata.Distribution | None) -> str | None:
    """SPDX expression, else the classifier's name, else a short licence field."""
    if distribution is None:
        return None
    expression = _expression(distribution)
    if expression:
        return expression
    classifiers = distribution.metadata.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: OSI")]
    short = _field(distribution, "License")
    return named[0] if named else short if short and len(short) < 80 else None
