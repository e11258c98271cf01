"""``/v1/voices`` and ``/v1/variants``: what may be asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from ....audio.encode import MEDIA_TYPES
from ....format.abilities import Abilities
from ....format.manifest import Manifest
from ...schemas import errors
from .context import Service, keys
from .openai import VOICES

router = APIRouter(prefix="/v1", tags=["choices"], dependencies=[keys])


@router.get("/voices", responses=errors(404), summary="Voices by name, and the range of seeds")
async def voices(service: Service, variant: str | None = None) -> dict[str, Any]:
    """Any whole number from 0 is a voice of its own; names are those of the variant's bundle."""
    found = service.variants.find(variant)
    return {
        "variant": found.name,
        "voices": [{"id": name, "kind": "named"} for name in found.bundle.shelf.names],
        "openai": VOICES,
        "seeds": {"least": 0, "most": 2**32 - 1},
    }


@router.get("/variants", responses=errors(), summary="The bundles that are served")
async def variants(service: Service) -> dict[str, Any]:
    """The first is the default; a revision names the content of a bundle, ``step`` what runs the
    GPT: the compiled library (``native``) or ONNX Runtime (``ort``).  ``languages``, ``options``
    and ``domain`` say what its checkpoint can do, and are left out where it does not tell."""
    listed = [
        {
            "id": variant.name,
            "revision": variant.revision,
            "precision": variant.bundle.manifest.variant,
            "checkpoint": variant.bundle.manifest.checkpoint.get("name"),
            "license": variant.bundle.manifest.checkpoint.get("license"),
            "sample_rate": variant.bundle.sample_rate,
            "step": {"engine": variant.bundle.step.engine, "why": variant.bundle.step.why},
            **_abilities(variant.bundle.manifest),
        }
        for variant in service.variants.current
    ]
    return {"variants": listed, "formats": list(MEDIA_TYPES), "speeds": [0, 9]}


def _abilities(manifest: Manifest) -> dict[str, Any]:
    found = Abilities.of(manifest)
    return {} if found is None else asdict(found)
