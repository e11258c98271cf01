"""``/v1/audio/speech`` and ``/v1/models``: what OpenAI's clients send and read."""

from __future__ import annotations

import math
import re
from typing import Any

from fastapi import APIRouter, Response

from ....audio.encode import MEDIA_TYPES, make_encoder
from ....audio.sound import stretches
from ....errors import InputError
from ....speech.options import SpeechOptions
from ....voices.mixing import parse_mix
from ...answers import SpeechResponse
from ...events import event_stream
from ...requests import SpeechRequest
from ...schemas import OpenAISpeechBody, VoiceReference, audio, errors
from ...service import SpeechService
from .context import Service, keys

router = APIRouter(prefix="/v1", tags=["OpenAI"], dependencies=[keys])

# What clients of OpenAI send without being told, dated ones too: they mean the default bundle.
MODELS = re.compile(
    r"(tts-1(-hd)?(-\d+)?|gpt-4o(-mini)?-tts(-\d{4}-\d\d-\d\d)?|chattts|kokoro)", re.IGNORECASE
)
# Each of OpenAI's voices is a voice of this checkpoint, always the same one: a seed.
VOICES = {
    name: seed
    for seed, name in enumerate(
        ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer",
         "verse", "marin", "cedar"),
        start=1,
    )
}  # fmt: skip
_ANSWERS = {
    **audio("Or server-sent events, each with a part of it.", "text/event-stream"),
    **errors(404, 429, 503, 504),
}


def speed_level(speed: float) -> int | None:
    """ChatTTS's 0 to 9 for OpenAI's 0.25 to 4: two levels an octave around 5, None for 1.0.

    ChatTTS takes a level as a hint and promises no rate.
    """
    return None if speed == 1.0 else max(0, min(9, round(5 + 2 * math.log2(speed))))


def paced(body: OpenAISpeechBody) -> SpeechOptions:
    """What OpenAI's ``speed`` asks for: the tempo, or a hint to the model where what stretches
    speech is not installed."""
    if not stretches():
        return {"speed": speed_level(body.speed)}
    tempo = getattr(body, "tempo", None)
    return {"speed": None, "tempo": body.speed if tempo is None else tempo}


@router.post(
    "/audio/speech",
    responses=_ANSWERS,
    response_class=Response,
    response_model=None,
    summary="Speak a text, in OpenAI's shape",
)
async def create_speech(service: Service, body: OpenAISpeechBody) -> Any:
    """Speech of a text in the shape of OpenAI's API, as audio or as server-sent events."""
    if body.response_format == "aac":
        raise InputError(f"aac is not made here; ask for one of {', '.join(MEDIA_TYPES)}.")
    form = body.response_format
    options: SpeechOptions = {**body.options(), **paced(body)}
    request = SpeechRequest(
        body.input, _voice(service, body), _variant(service, body.model), **options
    )
    events = body.stream_format == "sse"
    speech = service.submit(
        request, lambda rate: make_encoder(form, rate), timed=events and body.timings
    )
    if events:
        return event_stream(speech, len(body.input))
    return SpeechResponse(speech, MEDIA_TYPES[form])


@router.get("/models", responses=errors(), summary="The variants, in OpenAI's shape")
@router.get("/audio/models", include_in_schema=False)
async def models(service: Service) -> dict[str, Any]:
    """What ``model`` may be: the variants, and the names that were given to them."""
    names = [variant.name for variant in service.variants.current]
    return {
        "object": "list",
        "data": [_model(name) for name in [*names, *_mapped(service)] if name != "*"],
    }


@router.get("/models/{model:path}", responses=errors(404), summary="One of them")
async def model(service: Service, model: str) -> dict[str, Any]:
    """404 for a name that no speech would be made for."""
    service.variants.find(_variant(service, model))
    return _model(model)


@router.get("/audio/voices", responses=errors(404), summary="Voices by name, as OpenAI clients ask")
async def voices(service: Service, model: str | None = None) -> dict[str, Any]:
    """The bundle's own voices, then OpenAI's names."""
    variant = service.variants.find(None if model is None else _variant(service, model))
    names = dict.fromkeys([*variant.bundle.shelf.names, *VOICES])
    return {"voices": [{"id": name, "name": name} for name in names]}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "chattts-onnx"}


def _mapped(service: SpeechService) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in service.settings.models)
    return {name.strip(): variant.strip() for name, _, variant in pairs}


def _variant(service: SpeechService, model: str) -> str | None:
    """The variant that a model's name means; None is the default one."""
    if model in (variant.name for variant in service.variants.current):
        return model
    mapped = _mapped(service)
    if model in mapped or "*" in mapped:
        return mapped.get(model, mapped.get("*"))
    return None if MODELS.fullmatch(model) else model


def _voice(service: SpeechService, body: OpenAISpeechBody) -> str | int:
    given = body.voice.id if isinstance(body.voice, VoiceReference) else str(body.voice or "alloy")
    own = service.variants.find(_variant(service, body.model)).bundle.shelf.names

    def known(name: str) -> str | int:
        return name if name in own else VOICES.get(name.lower(), name)

    terms = None if given in own else parse_mix(given)
    if terms is None:
        return known(given)
    return "+".join(f"{known(name)}({weight})" for name, weight in terms)
