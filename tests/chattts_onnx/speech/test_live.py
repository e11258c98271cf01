"""Text that is written while it is spoken, in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, RequestCancelledError
from chattts_onnx.decoding.request import Request
from chattts_onnx.speech.engine import Engine
from chattts_onnx.speech.live import Ahead, LiveText
from chattts_onnx.speech.narration import Narration
from chattts_onnx.speech.script import Script
from chattts_onnx.speech.windows import StreamOptions

PARTS = ["hello ", "world, ", "good morn", "ing. one two", " three"]
STREAM = StreamOptions(first_chunk=2, max_chunk=4)


def whole(bundle: Bundle) -> np.ndarray:
    return np.concatenate(list(bundle.stream(iter(["".join(PARTS)]), 5, STREAM, seed=3)))


def test_each_piece_is_what_it_is_alone(bundle: Bundle) -> None:
    spoken = whole(bundle)
    for number, text in enumerate(["hello world,", "good morning.", "one two three"]):
        alone = np.concatenate(list(bundle.stream(text, 5, STREAM, seed=3 + number)))
        fits = np.lib.stride_tricks.sliding_window_view(spoken, len(alone))
        assert np.isclose(fits, alone, atol=1e-4).all(axis=1).any(), text


def test_the_first_clause_is_spoken_before_more_is_asked_for(bundle: Bundle) -> None:
    read: list[str] = []
    steps: list[int] = []

    def written() -> Iterator[str]:
        for part in PARTS:
            read.append(part)
            yield part

    def count(request: Request) -> None:
        steps.append(request.steps)

    chunks = bundle.stream(written(), 5, STREAM, on_step=count, seed=3)
    first = next(chunks)
    assert read == PARTS[:2]
    needed = len(steps)
    steps.clear()
    alone = next(bundle.stream("hello world,", 5, STREAM, on_step=count, seed=3))
    np.testing.assert_array_equal(first, alone)
    assert needed == len(steps)


def test_an_engine_and_coroutines_give_the_same(bundle: Bundle) -> None:
    expected = whole(bundle)

    async def written() -> AsyncIterator[str]:
        for part in PARTS:
            await asyncio.sleep(0.002)
            yield part

    async def heard() -> np.ndarray:
        stream = bundle.astream(written(), 5, STREAM, seed=3)
        return np.concatenate([chunk async for chunk in stream])

    np.testing.assert_allclose(asyncio.run(heard()), expected, atol=1e-4)
    with Engine(bundle, slots=2) as engine:
        live = LiveText()
        script = Script(bundle, live, 5, {"seed": 3}, live=True)
        narration = Narration(engine, script, STREAM)
        for part in PARTS:
            live.write(part)
        live.end()
        np.testing.assert_allclose(np.concatenate(list(narration)), expected, atol=1e-4)


def test_an_error_of_who_writes_is_raised_where_it_is_heard(bundle: Bundle) -> None:
    def broken() -> Iterator[str]:
        yield "hello world, "
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(bundle.stream(broken(), 5, seed=3))

    async def later() -> AsyncIterator[str]:
        yield "hello world, "
        raise KeyError("mine")

    async def heard() -> None:
        async for _ in bundle.astream(later(), 5, seed=3):
            pass

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(heard())


def test_cancelling_wakes_who_waits_for_text(bundle: Bundle) -> None:
    with Engine(bundle, slots=1) as engine:
        live = LiveText()
        live.write("hello world, g")
        narration = Narration(engine, Script(bundle, live, 5, {}, live=True), STREAM)
        with pytest.raises(RequestCancelledError):
            for _ in narration:
                narration.cancel()
        live.fail(RequestCancelledError("it has ended"))


def test_text_after_the_end_is_refused() -> None:
    live = LiveText()
    live.write("a")
    live.flush()
    live.end()
    with pytest.raises(InputError, match="has ended"):
        live.write("b")
    assert list(live) == ["a", None] and live.pending == 0


def test_what_is_ahead_is_bounded_and_waited_for() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1, 9):
            taken.append(number)
            yield number

    ahead = Ahead(numbers(), most=2)
    assert [ahead.next() for _ in range(3)] == [1, 2, 3]
    assert len(taken) <= 6
    assert [ahead.next() for _ in range(6)] == [4, 5, 6, 7, 8, None]
    ahead = Ahead(numbers())
    ahead.close()
    assert ahead.next() is None
