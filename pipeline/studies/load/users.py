"""Locust's users: each asks for a sentence, hears it stream, pauses, and asks again.

Run by locust in a process of its own, with gevent; imports nothing of this project.  What to do
comes as JSON in ``LOAD_PLAN``; each request becomes a line of JSON in the file ``LOAD_SAMPLES``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gevent
import websocket
from locust import FastHttpUser, User, task

PLAN: dict[str, Any] = json.loads(os.environ["LOAD_PLAN"])
SAMPLES = Path(os.environ["LOAD_SAMPLES"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
# 0.1 s of sound at 16 bits: fine enough to see a player run dry.
BLOCK = 2 * PLAN["sample_rate"] // 10
# A language model at work.
WORDS_PER_SECOND = 20.0
_MARK = re.compile(r"[,;:.!?，；：。！？]\s*$")
_NUMBERS = itertools.count()


class Asker(User):
    """Choices of a user, the same in every run, and what becomes of each request."""

    abstract = True

    def on_start(self) -> None:
        """Every user makes choices of its own."""
        self._number = next(_NUMBERS)
        self._random = random.Random(f"{PLAN['seed']} {self._number}")

    def wait_time(self) -> float:
        """Seconds until the next request."""
        return self._random.uniform(*PLAN["pause_seconds"])

    def choose(self) -> tuple[str, dict[str, Any]]:
        """A text, and the options it is asked for with."""
        return self._random.choice(PLAN["texts"]), {
            "voice": self._random.randrange(PLAN["voices"]),
            "seed": self._random.randrange(1 << 16),
            "max_new_tokens": PLAN["max_new_tokens"],
            "format": "pcm",
        }

    def record(self, kind: str, hear: Callable[[float], dict[str, Any]]) -> str | None:
        """Make one request and write its sample; what went wrong with it.  ``hear`` is given when
        the request began."""
        sample: dict[str, Any] = {"user": self._number, "kind": kind, "at": time.time()}
        began, error = time.perf_counter(), None
        try:
            sample |= hear(began)
            error = _verdict(sample)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        sample |= {"error": error, "total": time.perf_counter() - began}
        SAMPLES.write(json.dumps(sample) + "\n")
        return error


class Listener(Asker, FastHttpUser):
    """Sends whole texts over HTTP."""

    network_timeout = 300.0
    connection_timeout = 60.0

    @task
    def listen(self) -> None:
        """One request, from its sending to the last byte of sound."""
        text, options = self.choose()
        path = f"/v1/tts?{urlencode({'text': text, **options})}"
        self.record("http", lambda began: self._hear(path, began))

    def _hear(self, path: str, began: float) -> dict[str, Any]:
        """Read the answer; when its sound began, and how long a player would have stood still."""
        with self.client.get(path, stream=True, catch_response=True, name="tts") as response:
            if response.status_code != 200:
                raise ConnectionError(f"status {response.status_code}")
            player = _Player(began)
            player.take(response.stream.read(2))
            while data := response.stream.read(BLOCK):
                player.take(data)
            response.success()
            return player.heard()


class Talker(Asker):
    """Writes texts word by word over a WebSocket, as a language model does.

    First audio is counted from the word that ends the first clause.
    """

    abstract = not PLAN["websocket_users"]
    fixed_count = PLAN["websocket_users"]

    @task
    def talk(self) -> None:
        """One request on a connection of its own."""
        self.record("websocket", self._talk)

    def _talk(self, _: float) -> dict[str, Any]:
        text, options = self.choose()
        address = f"ws{(self.host or '').removeprefix('http')}/v1/tts/stream"
        connection = websocket.create_connection(address, timeout=60)
        player = _Player(None)
        writer = gevent.spawn(self._write, connection, text, options, player)
        try:
            while True:
                code, data = connection.recv_data()
                if code == websocket.ABNF.OPCODE_BINARY:
                    player.take(data)
                    continue
                event = json.loads(data) if code == websocket.ABNF.OPCODE_TEXT else {"type": "gone"}
                if event["type"] == "speech.audio.done":
                    return player.heard()
                if event["type"] in ("error", "gone"):
                    raise ConnectionError(str(event)[:200])
        finally:
            writer.kill()
            connection.close()

    def _write(self, connection: Any, text: str, options: dict[str, Any], player: _Player) -> None:
        connection.send(json.dumps({"type": "options", **options}))
        for word in text.split():
            part = f"{word} "
            if player.began is None and _MARK.search(part):
                player.began = time.perf_counter()
            connection.send(json.dumps({"type": "text", "text": part}))
            gevent.sleep(1 / WORDS_PER_SECOND)
        player.began = player.began or time.perf_counter()
        connection.send(json.dumps({"type": "end"}))


class _Player:
    """Plays at once what comes; ``began`` is when first audio is counted from."""

    def __init__(self, began: float | None) -> None:
        self.began = began
        self._first: float | None = None
        self._size, self._stall = 0, 0.0

    def take(self, data: bytes) -> None:
        """Sound that has come; none is the end, whose time of arrival leaves no hole."""
        if not data:
            return
        now = time.perf_counter()
        self._first = now if self._first is None else self._first
        late = now - self._first - self._stall - self._size / 2 / PLAN["sample_rate"]
        self._stall += max(0.0, late)
        self._size += len(data)

    def heard(self) -> dict[str, Any]:
        """What a sample tells of it."""
        first = None if None in (self._first, self.began) else self._first - self.began  # type: ignore[operator]
        return {"first_audio": first, "bytes": self._size, "stall": self._stall}


def _verdict(sample: dict[str, Any]) -> str | None:
    # Random weights may end an utterance after a step or two; nothing at all is a failure.
    if not sample["bytes"] or sample["bytes"] % 2:
        return f"{sample['bytes']} bytes of sound"
    return None
