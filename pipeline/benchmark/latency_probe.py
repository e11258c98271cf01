"""One fresh process of ``chattts-onnx say``, timed: ``python -m pipeline.benchmark.latency_probe``.

Arguments: bundle folder, threads, then the lengths in characters to normalise.  Prints JSON with
``opened`` and ``ready``, clock readings (``time.monotonic``, which one machine's processes share)
after the bundle was opened and verified and after the graphs of the first sentence were loaded,
and ``normalize``, the seconds that a text of each length took (the median of some).
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median

from chattts_onnx.cli import build_parser
from chattts_onnx.cli.common import open_named_bundle

GRAPHS = ("gpt", "decoder", "vocos")
REPEATS = 9
# Dates, money, units, telephone numbers and both languages: what normalisation works hardest on.
SENTENCE = "今天是2024年10月1日，气温25℃，iPhone卖￥1,234.50元，电话13800138000，涨12.5%。"


def text_of(length: int) -> str:
    """A text of ``length`` characters in which numbers are dense."""
    return (SENTENCE * (length // len(SENTENCE) + 1))[:length]


def normalize_seconds(length: int) -> float:
    """Seconds that normalising ``length`` characters takes once the process has read a text."""
    from chattts_onnx.text import normalize

    text = text_of(length)
    normalize(text)
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        normalize(text)
        taken.append(time.perf_counter() - started)
    return median(taken)


def main(arguments: list[str]) -> int:
    """Entry point."""
    folder, threads, *lengths = arguments
    parsed = build_parser().parse_args(["say", SENTENCE, "-b", folder, "--threads", threads])
    bundle = open_named_bundle(parsed)
    opened = time.monotonic()
    bundle.tokenizer.encode(SENTENCE)
    for name in GRAPHS:
        bundle.session(name)
    ready = time.monotonic()
    seconds = {length: normalize_seconds(int(length)) for length in lengths}
    print(json.dumps({"opened": opened, "ready": ready, "normalize": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
