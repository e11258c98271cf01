"""Home Assistant's own library against the bridge."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from chattts_onnx.client import ChatTTSStreamer
from tests.chattts_onnx.serve.conftest import PATIENCE, STEPS, build_steady

pytest.importorskip("wyoming")
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from chattts_onnx.client.wyoming import serve_wyoming

SAMPLES = (2 * STEPS - 1) * 64


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[AsyncTcpClient]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ChatTTSStreamer(str(folder), voice=7, dtype="int16") as streamer:
        address = f"tcp://127.0.0.1:{port}"
        server = asyncio.create_task(serve_wyoming(streamer, address, ["en"]))
        client = AsyncTcpClient("127.0.0.1", port)
        for _ in range(200):
            with suppress(OSError):
                await client.connect()
                break
            await asyncio.sleep(0.05)
        try:
            yield client
        finally:
            await client.disconnect()
            server.cancel()
            with suppress(asyncio.CancelledError):
                await server


async def until(client: AsyncTcpClient, kind: str) -> tuple[list[str], int]:
    """Kinds of events up to one, and the samples in them."""
    kinds: list[str] = []
    samples = 0
    while kind not in kinds:
        event = await asyncio.wait_for(client.read_event(), PATIENCE)
        assert event is not None
        kinds.append(event.type)
        if event.type == "audio-chunk":
            samples += len(event.payload or b"") // 2
    return kinds, samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_steady(tmp_path_factory.mktemp("wyoming") / "steady")


def test_it_is_described_and_speaks(folder: Path) -> None:
    async def talk() -> None:
        async with connected(folder) as client:
            await client.write_event(Describe().event())
            event = await asyncio.wait_for(client.read_event(), PATIENCE)
            assert event is not None
            [program] = Info.from_event(event).tts
            assert program.supports_synthesize_streaming
            assert [voice.name for voice in program.voices] == ["anna"]
            asked = Synthesize("Hello there.", SynthesizeVoice(name="anna"))
            await client.write_event(asked.event())
            kinds, samples = await until(client, "audio-stop")
            assert kinds[0] == "audio-start" and samples == SAMPLES

    asyncio.run(talk())


def test_text_is_spoken_while_it_is_written(folder: Path) -> None:
    async def talk() -> None:
        async with connected(folder) as client:
            await client.write_event(SynthesizeStart(SynthesizeVoice(name="anna")).event())
            await client.write_event(SynthesizeChunk("Hello there, how ").event())
            kinds, _ = await until(client, "audio-chunk")  # before the end is written
            await client.write_event(SynthesizeChunk("are you?").event())
            # Home Assistant sends the whole once more, for servers that do not stream.
            await client.write_event(Synthesize("Hello there, how are you?").event())
            await client.write_event(SynthesizeStop().event())
            kinds, samples = await until(client, "synthesize-stopped")
            assert kinds.count("audio-stop") == 1 and samples >= SAMPLES

    asyncio.run(talk())


def test_an_error_is_told(folder: Path) -> None:
    async def talk() -> None:
        async with connected(folder) as client:
            asked = Synthesize("Hello.", SynthesizeVoice(name="nobody"))
            await client.write_event(asked.event())
            event: Event | None = None
            while event is None or event.type != "error":
                event = await asyncio.wait_for(client.read_event(), PATIENCE)
            assert event.data["code"] == "VoiceError"

    asyncio.run(talk())
