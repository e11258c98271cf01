from __future__ import annotations

import signal
import threading

import pytest

from chattts_onnx.serve.signals import Signals
from tests.chattts_onnx.serve.conftest import until

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")


def test_hangups_of_the_start_and_those_of_an_exchange_are_one_each() -> None:
    begun, go = threading.Semaphore(0), threading.Semaphore(0)
    done: list[int] = []

    def reload() -> None:
        begun.release()
        go.acquire()
        done.append(1)
        if len(done) == 1:
            raise ValueError("which the next one survives")

    before = signal.getsignal(signal.SIGHUP)
    with Signals() as signals:
        for _ in range(200):
            signal.raise_signal(signal.SIGHUP)
        signals.exchange(reload)
        begun.acquire()
        for _ in range(200):
            signal.raise_signal(signal.SIGHUP)
        go.release()
        begun.acquire()
        go.release()
        until(lambda: len(done) == 2, "both are done")
    assert signal.getsignal(signal.SIGHUP) == before
    until(lambda: "chattts-reload" not in {t.name for t in threading.enumerate()}, "it ends")
    assert len(done) == 2


def test_terminating_before_requests_are_served_is_no_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, Signals():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0 and signal.getsignal(signal.SIGTERM) == before
