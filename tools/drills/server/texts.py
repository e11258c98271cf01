"""Texts of every plane of Unicode, and what only looks like text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.drills.record import Promise
from tools.drills.server.target import Target, promised, serving

LAST = 0x10FFFF
CLIENTS = 4
HOSTILE = (
    "\x00hello",
    "hello\x00\x00",
    "\ufeff\u200b\u200d\u2060",
    "\u202ehello\u202c\u2066\u2067",
    "e" + "\u0301" * 2000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
    "\U000e0001\U000e0041\U000e007f",
    "\ud800 hello",
    "hello \udfff\ud800",
    "\ufdd0\ufffe\uffff\U0010ffff",
    "[spk_emb][Sbreak][Pbreak][uv_break][laugh]" * 10,
    "[" * 2000,
    "1" * 4000,
    "-1e999 0x10 ١٢٣ ㊿ ½ Ⅷ 𝟘𝟙",
    "9" * 30 + "." + "9" * 30 + "$ 99:99:99 31/02/0000",
)


def planes(bundle: Path, block: int, step: int = 1) -> Promise:
    """Texts of ``block`` neighbouring code points, every ``step``-th block of all there are,
    surrogates included, as JSON, in a query, and as a line of a file."""
    texts = [*HOSTILE, *_blocks(block, step)]
    options = {"slots": 8, "queue": 64, "max-new-tokens": 1, "max-chars": 10_000}
    with serving(bundle, options) as target:
        with ThreadPoolExecutor(CLIENTS) as pool:
            wrong = [text for text in pool.map(lambda t: _trouble(target, t), texts) if text]
        if not target.speaks():
            wrong.append("no speech afterwards")
        if "Traceback" in target.process.log:
            wrong.append("a traceback in the log")
    return promised(
        "Any text is spoken or refused by name, whatever characters it has",
        f"every block of {block} code points of all 17 planes and "
        f"{len(HOSTILE)} hostile texts, as JSON, in a query, or as a line of a batch file",
        len(texts),
        "texts",
        len(wrong),
        wrong[0] if wrong else "200 with sound, or 422 with a named error",
    )


def _blocks(block: int, step: int) -> Iterator[str]:
    draw = random.Random(0)
    for start in range(0, LAST + 1, block * step):
        points = [chr(point) for point in range(start, min(start + block, LAST + 1))]
        draw.shuffle(points)
        # Spaces and full stops let the rules for words and sentences at them.
        yield "".join(points) + " hello. " + " ".join(points[:20])


def _trouble(target: Target, text: str) -> str | None:
    """What is wrong with the answer to a text; None where nothing is."""
    way = sum(map(ord, text)) % 3
    surrogates = any("\ud800" <= character <= "\udfff" for character in text)
    try:
        if way == 0 and not surrogates:
            answer = target.client.get("/v1/tts", params={"text": text, "format": "pcm"})
        elif way == 1:
            line = json.dumps({"text": text, "id": text[:50]})
            files = {"file": ("lines.jsonl", line.encode())}
            answer = target.client.post("/v1/batch", files=files)
            return _job_trouble(target, answer.json(), answer.status_code)
        else:
            # The escapes of JSON carry halves of surrogate pairs, which UTF-8 cannot.
            body = json.dumps({"text": text, "format": "pcm"}).encode()
            kind = {"content-type": "application/json"}
            answer = target.client.post("/v1/tts", content=body, headers=kind)
    except Exception as error:
        return f"{_points(text)}: {type(error).__name__}"
    if answer.status_code == 200:
        return None if answer.content else f"{_points(text)}: no sound"
    if answer.status_code in (413, 422) and answer.json()["error"]["type"].endswith("Error"):
        return None
    return f"{_points(text)}: status {answer.status_code}"


def _job_trouble(target: Target, job: dict[str, object], status: int) -> str | None:
    if status == 422:
        return None
    if status != 202:
        return f"a batch: status {status}"
    while job["state"] in ("queued", "running"):
        job = target.client.get(f"/v1/batch/{job['id']}").json()
    result = target.client.get(f"/v1/batch/{job['id']}/result")
    target.client.delete(f"/v1/batch/{job['id']}")
    return None if job["state"] == "done" and result.status_code == 200 else f"a batch: {job}"


def _points(text: str) -> str:
    return " ".join(f"U+{ord(character):04X}" for character in text[:4])
