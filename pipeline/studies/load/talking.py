"""A talking machine alone with a server of one slot: what the first clause of a text waits for.

Each round says a clause twice with one seed, on connections that are open: alone over HTTP, and
over a WebSocket by somebody who goes on writing.  Then the writer barges in, and it is looked when
the slot is free.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import websocket

from pipeline.core.errors import LoadError

CLAUSE_HTTP, CLAUSE_WEBSOCKET, BARGE_IN = "clause over HTTP", "clause over WebSocket", "barge-in"
OPTIONS = ("--slots", "1")
_PATIENCE = 120.0
# Words a second of a language model at work.
_WORDS_PER_SECOND = 20.0
_ACTIVE = re.compile(r"^chattts_slots_active\{.*\} (\S+)$", re.MULTILINE)
# Bytes of both answers that are compared: what comes before any pause.
_HEAD = 2_000


def talk(
    address: str, texts: Sequence[str], rounds: int, max_new_tokens: int, samples_per_step: int
) -> list[dict[str, Any]]:
    """Records of ``rounds`` rounds, as those of requests; each text is a clause, a comma, the rest.

    ``first_audio`` counts from the sending of the request, or of the word that ends the clause; of
    a :data:`BARGE_IN` it is the time from its sending until no slot is in use.  ``step`` is the
    mean time of a step of the clause over HTTP, the decoding of its audio included.

    Raises:
        LoadError: the two clauses did not sound the same, or the server gave up.
    """
    host = urlsplit(address).netloc
    asked = http.client.HTTPConnection(host, timeout=_PATIENCE)
    watched = http.client.HTTPConnection(host, timeout=_PATIENCE)
    conversation = websocket.create_connection(f"ws://{host}/v1/tts/stream", timeout=_PATIENCE)
    records = []
    try:
        for number in range(rounds):
            clause, _, rest = texts[number % len(texts)].partition(",")
            given = {"voice": number % 8, "seed": number, "max_new_tokens": max_new_tokens}
            said = {"text": f"{clause},", "format": "pcm", **given}
            parts = [f"{word} " for word in f"{clause},{rest}".split()]
            # In turn, so that neither always finds the machine as the other left it.
            if number % 2:
                heard = _ask(asked, said), *_talk(conversation, watched, given, parts)
            else:
                written = _talk(conversation, watched, given, parts)
                heard = _ask(asked, said), *written
            alone, live, _ = heard
            if alone.pop("head") != live.pop("head"):
                raise LoadError(f"{clause!r} sounds otherwise over a WebSocket than over HTTP")
            alone["step"] = alone["total"] / (alone["bytes"] / 2 / samples_per_step)
            records += [{"user": 0, "stall": 0.0, "error": None, **record} for record in heard]
    except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
        raise LoadError(f"the server gave up in round {len(records) // 3}: {error!r}") from error
    finally:
        conversation.close()
        asked.close()
        watched.close()
    return records


def _ask(connection: http.client.HTTPConnection, said: dict[str, Any]) -> dict[str, Any]:
    """The clause alone, heard to its end."""
    at, began = time.time(), time.perf_counter()
    connection.request("POST", "/v1/tts", json.dumps(said), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise LoadError(f"status {answer.status}: {answer.read()[:200]!r}")
    head = answer.read(_HEAD)
    first = time.perf_counter() - began
    size = len(head) + len(answer.read())
    total = time.perf_counter() - began
    return _record(CLAUSE_HTTP, at, first, total, size) | {"head": head}


def _talk(
    conversation: websocket.WebSocket,
    watched: http.client.HTTPConnection,
    given: dict[str, Any],
    parts: Sequence[str],
) -> list[dict[str, Any]]:
    """The clause and what follows, cut off while the rest is spoken."""
    ended: list[float] = []

    def write() -> None:
        for part in parts:
            if not ended and part.endswith(", "):
                ended.append(time.perf_counter())
            _send(conversation, "text", text=part)
            time.sleep(1 / _WORDS_PER_SECOND)
        _send(conversation, "flush")

    _send(conversation, "options", format="pcm", **given)
    at, writer = time.time(), threading.Thread(target=write)
    writer.start()
    sound, first = b"", 0.0
    while True:
        code, data = conversation.recv_data()
        if code == websocket.ABNF.OPCODE_BINARY:
            first = first or time.perf_counter()
            sound += data
            continue
        event = json.loads(data)
        if event["type"] == "speech.piece.done":
            break  # of the clause
        if event["type"] == "error":
            raise LoadError(f"the conversation failed: {event}")
    writer.join()
    live = _record(
        CLAUSE_WEBSOCKET, at, first - ended[0], time.perf_counter() - ended[0], len(sound)
    ) | {"head": sound[:_HEAD]}
    return [live, _barge_in(conversation, watched, "".join(parts))]


def _barge_in(
    conversation: websocket.WebSocket, watched: http.client.HTTPConnection, text: str
) -> dict[str, Any]:
    """Cancel what is spoken; a small model may be done with the text, and is given it again."""
    limit = time.monotonic() + _PATIENCE
    while not _active(watched):
        _send(conversation, "text", text=text)
        _send(conversation, "flush")
        if time.monotonic() > limit:
            raise LoadError("the rest of the text was not spoken")
    at, began = time.time(), time.perf_counter()
    _send(conversation, "cancel")
    while _active(watched):
        pass
    spent = time.perf_counter() - began
    while True:
        code, data = conversation.recv_data()
        if code == websocket.ABNF.OPCODE_TEXT:
            kind = json.loads(data)["type"]
            if kind == "speech.cancelled":
                return _record(BARGE_IN, at, spent, spent, 0)
            if kind in ("speech.audio.done", "error"):
                raise LoadError(f"a barge-in led to {kind}")


def _active(connection: http.client.HTTPConnection) -> float:
    """Slots in use."""
    connection.request("GET", "/metrics")
    return sum(map(float, _ACTIVE.findall(connection.getresponse().read().decode())))


def _send(conversation: websocket.WebSocket, kind: str, **values: Any) -> None:
    conversation.send(json.dumps({"type": kind, **values}))


def _record(kind: str, at: float, first: float, total: float, size: int) -> dict[str, Any]:
    return {"kind": kind, "at": at, "first_audio": first, "total": total, "bytes": size}
