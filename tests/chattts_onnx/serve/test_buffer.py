from __future__ import annotations

import asyncio
import threading

import pytest

from chattts_onnx.errors import SlowListenerError
from chattts_onnx.serve.buffer import ChunkBuffer


def test_items_come_in_order_and_then_the_end() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(10, 1)
    for i in (1, 2, 3):
        buffer.put(i, 1)
    buffer.end()
    assert [buffer.get(), buffer.get(), buffer.get(), buffer.get(), buffer.get()] == [
        *(1, 2, 3),
        *(None, None),
    ]
    assert buffer.held == 0


def test_a_full_buffer_holds_its_producer_and_never_more_than_one_item_too_many() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(3.0, 60)
    most = 0.0

    def produce() -> None:
        for i in range(200):
            buffer.put(i, 1.0)
        buffer.end()

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    while (item := buffer.get()) is not None:
        most = max(most, buffer.held)
        got.append(item)
    thread.join(30)
    assert got == list(range(200)) and most <= 4.0


def test_a_listener_who_takes_nothing_is_given_up() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(1.0, 0.01)
    buffer.put(1, 2.0)
    with pytest.raises(SlowListenerError, match=r"2\.0 s of audio"):
        buffer.put(2, 2.0)


def test_a_failure_drops_what_is_held_and_is_raised_on_both_sides() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(10, 1)
    buffer.put(1, 1)
    buffer.fail(ValueError("first"))
    buffer.fail(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        buffer.get()
    with pytest.raises(ValueError, match="first"):
        buffer.put(2, 1)
    assert buffer.held == 0


def test_a_failure_after_the_end_was_heard_changes_nothing() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(10, 1)
    buffer.end()
    buffer.fail(ValueError("late"))
    assert buffer.get() is None


def test_a_failure_frees_a_waiting_producer() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(1, 60)
    buffer.put(1, 1)
    raised = []

    def produce() -> None:
        try:
            buffer.put(2, 1)
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=produce)
    thread.start()
    buffer.fail(ValueError("gone"))
    thread.join(30)
    assert len(raised) == 1


def test_a_coroutine_listens_while_a_thread_produces() -> None:
    buffer: ChunkBuffer[int] = ChunkBuffer(2, 60)

    def produce() -> None:
        for i in range(100):
            buffer.put(i, 1)
        buffer.end()

    async def listen() -> list[int]:
        threading.Thread(target=produce).start()
        got = []
        while (item := await asyncio.wait_for(buffer.next(), 30)) is not None:
            got.append(item)
        return got

    assert asyncio.run(listen()) == list(range(100))
