"""Many requests, and what the process holds afterwards."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.drills.record import Promise
from tools.drills.server.target import PATIENCE, Target, Vitals, promised, serving, within

FORMATS = ("pcm", "wav", "flac", "mp3", "opus")
ALLOWED_GROWTH = 0.03
CLIENTS = 8


def growth(bundle: Path, count: int, warm: int, allowed: float = ALLOWED_GROWTH) -> Promise:
    """``count`` requests of all kinds after ``warm`` of the same; memory may grow by a share."""
    with serving(bundle, {"slots": 8, "queue": 64, "buffer-seconds": 2}) as target:
        failed = _ask(target, range(warm))
        before = _settled(target)
        failed += _ask(target, range(warm, warm + count))
        after = _settled(target)
    grown = after.memory / before.memory - 1
    more = (after.threads - before.threads, after.files - before.files)
    kept = grown <= allowed and max(more) <= 0
    return promised(
        "Requests leave neither memory nor threads nor open files behind",
        f"after {warm:,} requests of every format, some of which "
        f"fail or are left, as many as counted here",
        count,
        "requests",
        failed if kept else count,
        f"memory {grown:+.1%} ({before.memory / 1e6:.0f} to {after.memory / 1e6:.0f} MB), threads "
        f"{more[0]:+d}, open files {more[1]:+d}",
    )


def _ask(target: Target, numbers: range) -> int:
    """Make the requests, :data:`CLIENTS` at once; how many were not answered as they should."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(lambda number: not _answered(target, number), numbers))


def _answered(target: Target, number: int) -> bool:
    kind = number % 20
    text = f"hello world {number}"
    if kind == 19:
        return target.speak(text, voice="nobody").status_code == 422
    if kind == 18:
        # Reads the first bytes and leaves.
        body = {"text": f"{text}. " * 20}
        with target.client.stream("POST", "/v1/tts", json=body) as answer:
            return answer.status_code == 200 and bool(next(answer.iter_raw(64)))
    form = FORMATS[number % len(FORMATS)]
    answer = target.speak(text, voice=number, seed=number, format=form)
    return answer.status_code == 200 and bool(answer.content)


def _settled(target: Target) -> Vitals:
    """The vitals once nothing is under way and all connections are closed."""
    within(PATIENCE, target.is_idle)
    time.sleep(1)
    return target.vitals()
