"""From text to sound: first audio, a whole sentence, and the same by the PyTorch reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from chattts_onnx.decoding.params import GenerationParams
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.device import open_on
from pipeline.studies.gpu.setup import SENTENCE, Setup

if TYPE_CHECKING:
    from pipeline.fidelity.reference_model import ReferenceModel

STREAM_CHUNK, STREAM_SKIPPED = 24, 2
"""ChatTTS 0.2.5 decodes everything again each 24 steps and throws the first two results away."""


def speech(setup: Setup, variant: str, mode: str) -> Iterator[Row]:
    """First audio with the default stream options, and a sentence of a fixed number of steps."""
    bundle = open_on(setup, variant, mode)
    steps = setup.size.sentence_steps
    params = GenerationParams(max_new_tokens=steps, min_new_tokens=steps)

    def first() -> int:
        chunks = bundle.stream(SENTENCE, setup.seed, params=params, seed=setup.seed)
        return len(next(iter(chunks)))

    def whole() -> int:
        return len(bundle.say(SENTENCE, setup.seed, params=params, seed=setup.seed))

    yield from _rows(setup, variant, mode, first, whole, bundle.sample_rate)


def torch_speech(setup: Setup) -> Iterator[Row]:
    """The eager FP32 reference, streaming on the official schedule."""
    from pipeline.core.sentences import Sentence
    from pipeline.fidelity.reference_speech import ReferenceLoop
    from pipeline.reference.model import load_reference

    model = _reference_model(setup)
    prompt = model.prompt(Sentence(SENTENCE, "zh", setup.seed, (), "", ""))
    reference = load_reference(setup.workspace / "build" / "checkpoint", setup.device)
    steps = setup.size.sentence_steps
    params = GenerationParams(max_new_tokens=steps, min_new_tokens=steps)

    def loop() -> ReferenceLoop:
        return ReferenceLoop(reference, [prompt.ids], prompt.speaker[None], params, [setup.seed])

    def first() -> int:
        running = loop()
        request = running.requests[0]
        audible = min(steps, STREAM_CHUNK * (STREAM_SKIPPED + 1))
        samples = 0
        while request.steps < audible:
            running.step()
            if request.steps % STREAM_CHUNK == 0 or request.steps == audible:
                samples = reference.decode_hidden(np.asarray(request.hidden.view())[None]).size
        return samples

    def whole() -> int:
        (result,) = loop().run()
        return int(reference.decode_hidden(result.hidden[None]).size)

    rate = reference.dims.sample_rate
    yield from _rows(setup, "torch_fp32", "eager", first, whole, rate)


def _reference_model(setup: Setup) -> ReferenceModel:
    from pipeline.fidelity.reference_model import ReferenceModel

    return ReferenceModel.load(setup.workspace / "build" / "checkpoint")


def _rows(
    setup: Setup,
    variant: str,
    mode: str,
    first: Callable[[], int],
    whole: Callable[[], int],
    sample_rate: int,
) -> Iterator[Row]:
    where = {"mode": mode, "checkpoint": setup.checkpoint}
    times, _ = _timed(first, setup.size.repeats)
    yield make_row(
        variant, "first_audio_ms", median(times) * 1e3, "ms",
        min=min(times) * 1e3, max=max(times) * 1e3, **where,
    )  # fmt: skip
    times, samples = _timed(whole, setup.size.repeats)
    yield make_row(variant, "sentence_ms", median(times) * 1e3, "ms", **where)
    yield make_row(variant, "rtf", median(times) * sample_rate / samples, "s/s", **where)


def _timed(work: Callable[[], int], repeats: int) -> tuple[list[float], int]:
    """Seconds of each repeat after one that is not counted, and what the last one returned."""
    times, result = [], work()
    for _ in range(repeats):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return times, result
