"""``/v1/tts``: speech of one text, sent while it is made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from ....audio.encode import MEDIA_TYPES, make_encoder
from ...answers import SpeechResponse
from ...events import event_stream
from ...schemas import SpeechBody, audio, errors
from ...service import SpeechService
from .context import Service, keys

router = APIRouter(prefix="/v1/tts", tags=["speech"], dependencies=[keys])
_ANSWERS: dict[str, Any] = {
    "responses": {
        **audio(
            "X-Seed repeats it, X-Sample-Rate is the samples per second, X-Takes how many takes "
            "were drawn up to the first audio, X-Warning says what the checkpoint cannot do of "
            "what was asked. As server-sent events it comes in parts, with the times of words.",
            "text/event-stream",
        ),
        **errors(404, 429, 503, 504),
    },
    "response_class": Response,
    "response_model": None,
}


def speak(service: SpeechService, body: SpeechBody) -> Any:
    """Start a request and answer with its audio."""
    form = body.format
    timed = body.stream_format == "sse"
    speech = service.submit(body.request(), lambda rate: make_encoder(form, rate), timed=timed)
    if timed:
        return event_stream(speech, len(body.text))
    kind = MEDIA_TYPES[form]
    if form == "pcm":
        kind += f"; rate={speech.sample_rate}; channels=1"
    return SpeechResponse(speech, kind)


@router.get("", **_ANSWERS, summary="Speak a text")
async def get_speech(service: Service, query: Annotated[SpeechBody, Query()]) -> Any:
    """For players and links: everything in the query string."""
    return speak(service, query)


@router.post("", **_ANSWERS, summary="Speak a text given as JSON")
async def post_speech(service: Service, body: SpeechBody) -> Any:
    """As GET; a text in a body is in no one's log or history."""
    return speak(service, body)
