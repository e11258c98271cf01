from __future__ import annotations

import contextlib
import threading
import time

from chattts_onnx.speech.turns import Turns


def waiting(turns: Turns, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(turns._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def order(urgencies: list[float], places: int = 1) -> list[int]:
    """In which order those who came while all places were taken get in."""
    turns, entered, release = Turns(places), list[int](), threading.Event()
    inside = threading.Barrier(places + 1)

    def hold() -> None:
        with turns.turn():
            inside.wait(30)
            release.wait(30)

    def enter(i: int) -> None:
        with turns.turn(urgencies[i]):
            entered.append(i)

    holders = [threading.Thread(target=hold) for _ in range(places)]
    for thread in holders:
        thread.start()
    inside.wait(30)
    threads = [threading.Thread(target=enter, args=(i,)) for i in range(len(urgencies))]
    for i, thread in enumerate(threads):
        thread.start()
        waiting(turns, i + 1)
    release.set()
    for thread in holders + threads:
        thread.join(30)
    assert turns._free == places and not turns._waiting
    return entered


def test_most_urgent_first_and_equals_by_arrival() -> None:
    inf = float("inf")
    assert order([inf, 5.0, -inf, 1.0, -inf, inf]) == [2, 4, 3, 1, 0, 5]


def test_all_places_are_used_and_given_back() -> None:
    assert sorted(order([0.0] * 7, places=3)) == list(range(7))


def test_a_place_is_given_back_after_an_error() -> None:
    turns = Turns()

    def fail_thrice_and_enter() -> None:
        for _ in range(3):
            with contextlib.suppress(ValueError), turns.turn():
                raise ValueError
        with turns.turn():
            pass

    # A place that is not given back holds the thread for ever, not the test.
    thread = threading.Thread(target=fail_thrice_and_enter, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and turns._free == 1
