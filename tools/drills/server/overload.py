"""Ten times as many clients as a server takes."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tools.drills.record import Promise
from tools.drills.server.target import PATIENCE, TEXT, Target, promised, serving, within

SLOTS, QUEUE = 4, 12
TIMES = 10
ALLOWED_GROWTH = 0.03
# What one text must take alone, so that clients ask faster than any server answers.
BUSY_SECONDS = 0.25
MOST_TIMES = 256


def overload(bundle: Path, count: int, warm: int, allowed: float = ALLOWED_GROWTH) -> Promise:
    """Ten times ``--slots`` and ``--queue`` make ``count`` requests without a pause; memory is
    compared with that after ``warm`` of the same, and may grow by a share."""
    clients = TIMES * (SLOTS + QUEUE)
    with serving(bundle, {"slots": SLOTS, "queue": QUEUE}) as target:
        text = _busy_text(target)
        _crowd(target, clients, warm, text)
        before = target.vitals()
        seen = _crowd(target, clients, count, text)
        after = target.vitals()
        idle = within(PATIENCE, target.is_idle)
        spoke = target.speaks()
    growth = after.memory / before.memory - 1
    broken = count - seen["heard"] - seen["refused"]
    if not (idle and spoke) or growth > allowed or not seen["refused"]:
        broken = count
    return promised(
        "Under ten times the load that it takes, a server answers 429 with `Retry-After` to what "
        "is too much, speaks to the others, and does not grow",
        f"{clients} clients without a pause at {SLOTS} slots and {QUEUE} places",
        count,
        "requests",
        broken,
        f"{seen['heard']:,} heard all, {seen['refused']:,} were refused with 429; memory "
        f"{growth:+.1%}, threads {before.threads} and {after.threads}",
    )


def _busy_text(target: Target) -> str:
    """A text so long that this machine speaks for a while."""
    target.speak(TEXT)
    times = 8
    while times < MOST_TIMES:
        began = time.monotonic()
        target.speak(". ".join([TEXT] * times)).raise_for_status()
        if time.monotonic() - began >= BUSY_SECONDS:
            break
        times *= 2
    return ". ".join([TEXT] * times)


def _crowd(target: Target, clients: int, count: int, text: str) -> Counter[str]:
    """Let ``clients`` ask at once, ``count`` times in all; what came of their requests."""
    with ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(lambda number: _judge(target, number, text), range(count)))


def _judge(target: Target, seed: int, text: str) -> str:
    try:
        answer = target.speak(text, seed=seed, voice=seed)
    except httpx.HTTPError as error:
        return type(error).__name__
    if answer.status_code == 200 and answer.content:
        return "heard"
    if answer.status_code == 429 and int(answer.headers.get("retry-after", 0)) >= 1:
        return "refused"
    return f"status {answer.status_code}"
