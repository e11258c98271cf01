"""How long a text should take, and streams whose takes go wrong while they are played."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from chattts_onnx import Bundle, Engine, StreamOptions
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.takes import Fault, Watch
from chattts_onnx.speech import narrate, requests
from chattts_onnx.speech.takes import Takes, level_fault, usual_steps, watch_over
from chattts_onnx.speech.windows import decode_in_windows

ABILITIES = {"domain": "Tests.", "languages": ["en"], "options": []}
# At what the mini checkpoint and ChatTTS say: 2.0 to 4.8 steps a letter, 4.5 characters a second.
LETTERS = 32


@pytest.mark.parametrize(
    ("steps", "fault"),
    [(2.0 * LETTERS, False), (4.8 * LETTERS, False), (1.5 * LETTERS, True), (12 * LETTERS, True)],
)
def test_bounds_of_a_sentence(trained: Bundle, steps: float, fault: bool) -> None:
    watch = watch_over(trained, "Platform four is closed on Sunday, sorry.", GenerationParams())
    assert watch is not None and watch.most is not None
    assert (not watch.least <= steps <= watch.most) == fault


def test_what_a_text_takes() -> None:
    assert usual_steps("你好")[0] == 2 * usual_steps("好")[0]
    assert usual_steps("[laugh] Hi.")[0] == usual_steps("Hi")[0]
    assert usual_steps("[laugh] Hi.")[1] > usual_steps("Hi.")[1] > 0
    assert usual_steps("") == (0, 0)


def test_only_trained_checkpoints_are_watched(
    trained: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = GenerationParams()
    assert watch_over(trained, "Hello.", params) is not None
    assert watch_over(trained, "Hello.", params.but(takes=1)) is None
    monkeypatch.setitem(trained.manifest.checkpoint, "kind", "seeded_small")
    assert watch_over(trained, "Hello.", params) is None
    monkeypatch.delitem(trained.manifest.checkpoint, "kind")
    monkeypatch.delitem(trained.manifest.checkpoint, "abilities")
    assert watch_over(trained, "Hello.", params) is None


def test_what_the_caller_asks_for_is_no_fault(trained: Bundle) -> None:
    watch = watch_over(trained, "Hi.", GenerationParams(min_new_tokens=900))
    assert watch is not None and watch.most is not None and watch.most > 900
    result = trained.generate("hello world " * 9, seed=1, max_new_tokens=12, min_new_tokens=12)
    assert len(result) == 12 and result.fault is None and not result.refused


def test_level() -> None:
    loud, quiet = np.full(24_000, 0.1, np.float32), np.zeros(80_000, np.float32)
    assert level_fault(loud, 24_000) is None
    assert level_fault(quiet, 24_000) is Fault.SILENT
    assert level_fault(np.concatenate([loud, quiet, loud]), 24_000) is Fault.SILENT
    assert level_fault(np.concatenate([loud, quiet]), 24_000) is Fault.SILENT
    assert level_fault(np.concatenate([loud, quiet[:24_000], loud]), 24_000) is None


def test_a_silent_take_is_drawn_again(trained: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"min_new_tokens": 20, "max_new_tokens": 20}
    # What three seeds say; the first two of them are taken for silence.
    wanted = trained.generate("hello", 7, seed=5, **options)
    faults = iter([Fault.SILENT, Fault.SILENT, None])
    monkeypatch.setattr(narrate, "level_fault", lambda *_: next(faults))
    drawn = Takes()
    chunks = narrate.narrate(trained, "hello", 7, seed=3, drawn=drawn, **options)
    audio = decode_in_windows(trained.decode_hidden, trained.model, wanted.hidden)
    np.testing.assert_allclose(np.concatenate(list(chunks)), audio, atol=1e-4)
    assert str(drawn) == "3 takes for 1 pieces (2 silent)"


class Once(Watch):
    """Refuses the first take at step 80 as a loop that began at 70."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0

    def look(self, codes: np.ndarray) -> tuple[Fault, int] | None:
        self.looked += len(codes) == 80
        return (Fault.LOOP, 70) if len(codes) == 80 and self.looked == 1 else None


def streamed(bundle: Bundle, watch: Watch | None) -> tuple[Request, list[np.ndarray], int]:
    passes = requests.plan(
        bundle, "hello", 7, {"seed": 2, "min_new_tokens": 150, "max_new_tokens": 150}
    )
    request = passes.first
    request.watch = watch
    counted: list[int] = []
    request.on_step = lambda own: counted.append(own.steps)
    chunks, first = [], 0
    for chunk in requests.stream_request(bundle, request, StreamOptions()):
        first = first or len(counted)
        chunks.append(chunk)
    return request, chunks, first


def engaged(bundle: Bundle, watch: Watch | None) -> tuple[Request, list[np.ndarray], int]:
    passes = requests.plan(
        bundle, "hello", 7, {"seed": 2, "min_new_tokens": 150, "max_new_tokens": 150}
    )
    passes.first.watch = watch
    with Engine(bundle, 2) as engine:
        ticket = engine.queue(passes)
        return passes.first, list(ticket.chunks()), 0


@pytest.mark.parametrize("way", [streamed, engaged])
def test_a_stream_goes_on_with_another_take(
    trained: Bundle, way: Callable[..., tuple[Request, list[np.ndarray], int]]
) -> None:
    request, chunks, first = way(trained, Once())
    plain, _, usual = way(trained, None)
    assert first == usual  # the first audio comes no later
    result, other = request.result(), plain.result()
    assert result.refused == (Fault.LOOP,) and len(result) == 150
    audio = decode_in_windows(trained.decode_hidden, trained.model, result.hidden)
    spoken = np.concatenate(chunks)
    assert len(spoken) == len(audio)
    # What came from the second take alone is its audio, to the sample.
    context = trained.model.receptive_field.steps * trained.model.samples_per_step
    tail = 75 * trained.model.samples_per_step + context
    np.testing.assert_allclose(spoken[tail:], audio[tail:], atol=1e-4)
    if way is streamed:  # an engine is ahead of its listener, so nothing was played yet
        np.testing.assert_array_equal(result.codes[:70], other.codes[:70])


@pytest.fixture
def trained(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    """The tiny bundle, as if its checkpoint had been trained."""
    monkeypatch.setitem(bundle.manifest.checkpoint, "abilities", ABILITIES)
    yield bundle
