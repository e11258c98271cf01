"""Pipecat's service of OpenAI's speech, as docs/how-to/clients.md has it; prints what was heard."""

import asyncio
import json
import sys

from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame
from pipecat.services.openai.tts import OpenAITTSService


async def main(url: str, model: str) -> None:
    service = OpenAITTSService(
        base_url=f"{url}/v1",
        api_key="any",  # pragma: allowlist secret
        settings=OpenAITTSService.Settings(model=model, voice="alloy"),
    )
    service._sample_rate = 24_000  # a pipeline's start does this
    samples = 0
    async for frame in service.run_tts("Hello there.", "one"):
        assert not isinstance(frame, ErrorFrame), frame.error
        if isinstance(frame, TTSAudioRawFrame):
            samples += len(frame.audio) // 2
    print(json.dumps({"samples": samples, "rate": 24_000}))


asyncio.run(main(sys.argv[1], sys.argv[2]))
