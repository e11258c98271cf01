"""``/v1/tts/stream``: speech of a text that is still being written, over a WebSocket."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from ...session import Session

router = APIRouter()


@router.websocket("/v1/tts/stream")
async def converse(socket: WebSocket) -> None:
    """See :mod:`...session`; the guard has checked key and origin."""
    state = socket.state
    await Session(socket, socket.app.state.service, state.keys, state.known).run()
