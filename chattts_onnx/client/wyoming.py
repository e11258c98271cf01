"""The Wyoming protocol of Home Assistant, in front of a bundle or a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from .. import __version__
from ..errors import ChatTTSError
from .streamer import ChatTTSStreamer

log = logging.getLogger("chattts_onnx.client")
_MAKER = Attribution(name="2noise", url="https://github.com/2noise/ChatTTS")


async def serve_wyoming(streamer: ChatTTSStreamer, address: str, languages: list[str]) -> None:
    """Answer on ``address`` (tcp://host:port) until cancelled; ``streamer`` has to give int16."""
    info = Info(tts=[_program(streamer, languages)])
    server = AsyncServer.from_uri(address)
    await server.run(partial(_Handler, streamer, info))


def _program(streamer: ChatTTSStreamer, languages: list[str]) -> TtsProgram:
    about: dict[str, Any] = {"attribution": _MAKER, "installed": True, "version": __version__}
    voices = [
        TtsVoice(name=name, description=name, languages=languages, **about)
        for name in streamer.voices
    ]
    return TtsProgram(
        name="chattts-onnx",
        description="ChatTTS",
        voices=voices,
        supports_synthesize_streaming=True,
        **about,
    )


class _Handler(AsyncEventHandler):
    """One connection: whole texts, or texts that come while they are written."""

    def __init__(
        self,
        streamer: ChatTTSStreamer,
        info: Info,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(reader, writer)
        self._streamer, self._info = streamer, info
        self._written: asyncio.Queue[str | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def handle_event(self, event: Event) -> bool:
        """Take one event of the client."""
        if Describe.is_type(event.type):
            await self.write_event(self._info.event())
        elif SynthesizeStart.is_type(event.type):
            self._written = asyncio.Queue()
            voice = SynthesizeStart.from_event(event).voice
            self._task = asyncio.create_task(self._speak(self._parts(self._written), voice))
        elif SynthesizeChunk.is_type(event.type):
            self._written.put_nowait(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type) and self._task is not None:
            self._written.put_nowait(None)
            await self._task
            self._task = None
            await self.write_event(SynthesizeStopped().event())
        elif Synthesize.is_type(event.type) and self._task is None:
            # Between start and stop it is the whole text once more, for servers without streaming.
            asked = Synthesize.from_event(event)
            await self._speak(asked.text, asked.voice)
        return True

    async def disconnect(self) -> None:
        """Who leaves wants to hear no more."""
        if self._task is not None:
            self._task.cancel()

    async def _parts(self, written: asyncio.Queue[str | None]) -> AsyncIterator[str]:
        while (part := await written.get()) is not None:
            yield part

    async def _speak(self, text: str | AsyncIterable[str], voice: SynthesizeVoice | None) -> None:
        name = voice.name if voice is not None else None
        form = {"width": 2, "channels": 1, "rate": self._streamer.sample_rate}
        await self.write_event(AudioStart(**form).event())
        try:
            async for chunk in self._streamer.astream(text, name):
                await self.write_event(AudioChunk(audio=chunk.tobytes(), **form).event())
        except ChatTTSError as error:
            log.warning("failed: %s", type(error).__name__)
            await self.write_event(Error(text=str(error), code=type(error).__name__).event())
        await self.write_event(AudioStop().event())
