"""Locust's users: each asks for a sentence, hears it stream, pauses, and asks again.

Run by locust in a process of its own, with gevent; imports nothing of this project.  What to do
comes as JSON in ``LOAD_PLAN``; each request becomes a line of JSON in the file ``LOAD_SAMPLES``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from locust import FastHttpUser, task

PLAN: dict[str, Any] = json.loads(os.environ["LOAD_PLAN"])
SAMPLES = Path(os.environ["LOAD_SAMPLES"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
# 0.1 s of sound at 16 bits: fine enough to see a player run dry.
BLOCK = 2 * PLAN["sample_rate"] // 10
_NUMBERS = itertools.count()


class Listener(FastHttpUser):
    """One user."""

    network_timeout = 300.0
    connection_timeout = 60.0

    def on_start(self) -> None:
        """Every user makes choices of its own, the same in every run."""
        self._number = next(_NUMBERS)
        self._random = random.Random(f"{PLAN['seed']} {self._number}")

    def wait_time(self) -> float:
        """Seconds until the next request."""
        return self._random.uniform(*PLAN["pause_seconds"])

    @task
    def listen(self) -> None:
        """One request, from its sending to the last byte of sound."""
        query = {
            "text": self._random.choice(PLAN["texts"]),
            "voice": self._random.randrange(PLAN["voices"]),
            "seed": self._random.randrange(1 << 16),
            "max_new_tokens": PLAN["max_new_tokens"],
            "format": "pcm",
        }
        sample: dict[str, Any] = {"user": self._number, "at": time.time()}
        began = time.perf_counter()
        path = f"/v1/tts?{urlencode(query)}"
        with self.client.get(path, stream=True, catch_response=True, name="tts") as response:
            try:
                sample |= self._hear(response, began)
                error = _verdict(response.status_code, sample)
            except Exception as failure:
                error = f"{type(failure).__name__}: {failure}"
            sample["error"] = error
            sample["total"] = time.perf_counter() - began
            if error is None:
                response.success()
            else:
                response.failure(error)
        SAMPLES.write(json.dumps(sample) + "\n")

    def _hear(self, response: Any, began: float) -> dict[str, Any]:
        """Read the answer; when its sound began, and how long a player would have stood still."""
        if response.status_code != 200:
            return {"first_audio": None, "bytes": 0, "stall": 0.0}
        stream = response.stream
        data = stream.read(2)
        first = time.perf_counter() - began
        size, stall = len(data), 0.0
        while data:
            data = stream.read(BLOCK)
            late = time.perf_counter() - began - first - stall - size / 2 / PLAN["sample_rate"]
            # The time the end takes to arrive leaves no hole in what is heard.
            stall += max(0.0, late) if data else 0.0
            size += len(data)
        return {"first_audio": first, "bytes": size, "stall": stall}


def _verdict(status: int, sample: dict[str, Any]) -> str | None:
    if status != 200:
        return f"status {status}"
    # Random weights may end an utterance after a step or two; nothing at all is a failure.
    if not sample["bytes"] or sample["bytes"] % 2:
        return f"{sample['bytes']} bytes of sound"
    return None
