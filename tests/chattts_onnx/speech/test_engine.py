from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from chattts_onnx import (
    Bundle,
    Engine,
    GenerationError,
    InputError,
    QueueFullError,
    RequestCancelledError,
    StreamOptions,
)

TEXTS = ["hello world", "good morning", "你好", "one two three", "two", "world"]


def test_many_requests_give_what_each_gives_alone(bundle: Bundle) -> None:
    with Engine(bundle, slots=3) as engine:
        tickets = [engine.submit(text, voice=i, seed=i) for i, text in enumerate(TEXTS)]
        for i, (text, ticket) in enumerate(zip(TEXTS, tickets, strict=True)):
            expected = bundle.generate(text, voice=i, seed=i)
            np.testing.assert_array_equal(ticket.result(30).codes, expected.codes)
            audio = bundle.say(text, voice=i, seed=i)
            np.testing.assert_allclose(ticket.audio(), audio, atol=1e-4)
        assert engine.load == (0, 0)


def test_listeners_in_threads_hear_the_whole_decode(bundle: Bundle) -> None:
    params = bundle.default_params().but(min_new_tokens=50, max_new_tokens=50)
    heard: dict[int, np.ndarray] = {}

    def listen(engine: Engine, i: int) -> None:
        ticket = engine.submit(TEXTS[i], seed=i, params=params)
        heard[i] = np.concatenate(list(ticket.chunks(StreamOptions(2, 2.0, 16))))

    with Engine(bundle, slots=2) as engine:
        threads = [threading.Thread(target=listen, args=(engine, i)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    for i in range(4):
        audio = bundle.say(TEXTS[i], seed=i, params=params)
        np.testing.assert_allclose(heard[i], audio, atol=1e-4)


def test_refine_runs_before_the_code_pass(bundle: Bundle) -> None:
    options = {"seed": 4, "skip_refine": False, "refine_prompt": "[oral_0]"}
    expected = bundle.generate("hello world", **options)
    with Engine(bundle, slots=2) as engine:
        result = engine.submit("hello world", **options).result(30)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result.codes, expected.codes)


def test_an_ended_request_is_freed_without_the_garbage_collector(bundle: Bundle) -> None:
    gc.disable()
    try:
        with Engine(bundle, slots=2) as engine:
            tickets = [engine.submit(text, seed=0) for text in TEXTS]
            heard = [list(ticket.chunks()) for ticket in tickets]
            left = [weakref.ref(ticket._final()) for ticket in tickets]
            assert all(heard) and all(request() is not None for request in left)
            del tickets
            engine.submit("hello", seed=0).result(30)  # the worker's own variables hold this one
            assert [request() for request in left] == [None] * len(TEXTS)
    finally:
        gc.enable()


def slow_params(bundle: Bundle):  # type: ignore[no-untyped-def]
    return bundle.default_params().but(min_new_tokens=200, max_new_tokens=200)


def test_full_queue_refuses(bundle: Bundle) -> None:
    with Engine(bundle, slots=1, queue_size=2) as engine:
        running = engine.submit("hello", params=slow_params(bundle))
        while engine.load[0] == 0 and not running.done:
            time.sleep(0.001)
        # The worker may take one over between two submissions; a flood always meets the limit.
        tickets = [running]
        with pytest.raises(QueueFullError, match="2 requests are waiting"):
            for _ in range(200):
                tickets.append(engine.submit("hello", params=slow_params(bundle)))
        for ticket in tickets:
            ticket.cancel()


def test_cancel_frees_the_slot(bundle: Bundle) -> None:
    with Engine(bundle, slots=1) as engine:
        first = engine.submit("hello", params=slow_params(bundle))
        second = engine.submit("good morning", seed=1)
        first.cancel()
        expected = bundle.generate("good morning", seed=1).codes
        np.testing.assert_array_equal(second.result(30).codes, expected)
        with pytest.raises(RequestCancelledError):
            first.result(30)


def test_leaving_a_stream_early_cancels(bundle: Bundle) -> None:
    with Engine(bundle, slots=1) as engine:
        ticket = engine.submit("hello", params=slow_params(bundle))
        for _ in ticket.chunks(StreamOptions(2, 1.0, 2)):
            break
        with pytest.raises(RequestCancelledError):
            ticket.result(30)


def test_closing_ends_what_is_left(bundle: Bundle) -> None:
    engine = Engine(bundle, slots=1)
    tickets = [engine.submit("hello", params=slow_params(bundle)) for _ in range(3)]
    engine.close()
    with pytest.raises(GenerationError, match="closed"):
        tickets[-1].result(30)
    with pytest.raises(InputError, match="closed"):
        engine.submit("hello")


def test_a_failing_batch_fails_its_requests_and_the_engine_goes_on(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(bundle, slots=2) as engine:
        decoder = engine._batch.decoder
        step = decoder.step

        def broken(count: int) -> None:
            raise RuntimeError("no memory")

        monkeypatch.setattr(decoder, "step", broken)
        with pytest.raises(GenerationError, match="no memory"):
            engine.submit("hello", params=slow_params(bundle)).result(30)
        monkeypatch.setattr(decoder, "step", step)
        assert len(engine.submit("hello", seed=1).result(30)) > 0


def test_wrong_request_is_refused_at_submission(bundle: Bundle) -> None:
    with Engine(bundle, slots=1, max_length=20) as engine:
        with pytest.raises(InputError, match="cache positions"):
            engine.submit("hello", params=slow_params(bundle))
        with pytest.raises(InputError, match="text is empty"):
            engine.submit("")
        with pytest.raises(TimeoutError):
            params = bundle.default_params().but(max_new_tokens=10, min_new_tokens=10)
            engine.submit("hello", params=params).result(0)
