"""What a client hears of a speech as it goes on, as server-sent events and over WebSockets alike.

``speech.audio.delta`` and ``speech.audio.done`` are OpenAI's; the others say when what is said.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from ..speech.timing import PieceTime
from .answers import SpeechResponse
from .speech import Item, Speech


def event_stream(speech: Speech, characters: int) -> SpeechResponse:
    """A speech of a text of so many characters as server-sent events."""
    return SpeechResponse(
        speech, "text/event-stream", _frame, lambda: _sse(done_event(speech, characters))
    )


def done_event(speech: Speech, characters: int) -> dict[str, Any]:
    """The end of a speech: characters and samples, and how often its pieces were drawn."""
    total = characters + speech.samples
    usage = {
        "input_tokens": characters, "output_tokens": speech.samples, "total_tokens": total
    }  # fmt: skip
    return {"type": "speech.audio.done", "usage": usage, "takes": speech.takes.told()}


def _frame(item: Item) -> bytes:
    if isinstance(item, PieceTime):
        return _sse(item.event())
    audio = base64.b64encode(bytes(item)).decode()
    return _sse({"type": "speech.audio.delta", "audio": audio}) if audio else b""


def _sse(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
