"""LiveKit's plugin of OpenAI's speech, as docs/how-to/clients.md has it; prints what was heard."""

import asyncio
import json
import sys

import aiohttp  # noqa: F401  a session of its own is made outside of a job
from livekit.plugins import openai


async def main(url: str, model: str) -> None:
    tts = openai.TTS(
        base_url=f"{url}/v1",
        api_key="any",  # pragma: allowlist secret
        model=model,
        voice="alloy",
        response_format="pcm",
    )
    samples, rate = 0, 0
    async with tts.synthesize("Hello there.") as stream:
        async for audio in stream:
            samples += audio.frame.samples_per_channel
            rate = audio.frame.sample_rate
    await tts.aclose()
    print(json.dumps({"samples": samples, "rate": rate}))


asyncio.run(main(sys.argv[1], sys.argv[2]))
