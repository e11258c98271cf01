"""What a burst of requests took is given back."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import threading
import time
import weakref

import pytest

from chattts_onnx.serve import memory
from chattts_onnx.serve.memory import give_back_memory, memory_given_back


class Libc:
    """Stands for the C library, and remembers what it was told."""

    def __init__(self, answer: int) -> None:
        self.answer, self.told, self.trimmed = answer, [], threading.Event()

    def mallopt(self, parameter: int, value: int) -> int:
        self.told.append((parameter, value))
        return self.answer

    def malloc_trim(self, pad: int) -> None:
        assert pad == 0
        self.trimmed.set()
        time.sleep(0.05)  # so that it is in here when the block ends


@pytest.mark.parametrize("answer", [1, 0, None])
def test_what_the_c_library_is_told(answer: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    libc = None if answer is None else Libc(answer)
    monkeypatch.setattr(memory, "_c_function", lambda name: getattr(libc, name, None))
    for variable in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"):
        monkeypatch.delenv(variable, raising=False)
    assert give_back_memory() is (answer == 1)
    with memory_given_back(every=0.001):
        [thread] = [t for t in threading.enumerate() if t.name == "memory"]
        assert thread.daemon
        if libc is not None:
            assert libc.trimmed.wait(20)
            # malloc.h: M_MMAP_THRESHOLD and M_ARENA_MAX.
            assert libc.told == [(-3, 1 << 17), (-8, 2)] * 2
        assert thread.is_alive()
    assert not thread.is_alive()


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

# Threads take and free arrays of a request's sizes, as a burst does; what stays is printed.
BURST = """
import sys, threading
import numpy, psutil
from chattts_onnx.serve.memory import give_back_memory
if sys.argv[1] == "yes":
    assert give_back_memory()
numpy.ones(30 << 20, numpy.uint8)  # where nothing is told, this teaches glibc to keep 60 MB
together = threading.Barrier(16)
def burst():
    held = [numpy.ones(200 << 10, numpy.uint8) for _ in range(40)]
    pins = []
    for _ in range(40):
        together.wait()
        held.pop()
        pins.append(bytes(3000))  # small, and lives on behind what is freed
    kept.append(pins)
kept = []
before = psutil.Process().memory_info().rss
threads = [threading.Thread(target=burst) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(psutil.Process().memory_info().rss - before)
"""


def left_over(told: str, **environment: str) -> int:
    command = [sys.executable, "-c", BURST, told]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@glibc
def test_memory_of_a_burst_is_given_back() -> None:
    told, untold = left_over("yes"), left_over("no")
    # 16 threads held 8 MB each and keep 2 MB in all.
    assert told < 30e6 < untold


@glibc
def test_the_operator_s_own_settings_stand() -> None:
    code = "from chattts_onnx.serve.memory import give_back_memory; print(give_back_memory())"
    own = {"MALLOC_ARENA_MAX": "4", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    for environment, changed in ((own, "False"), ({"MALLOC_ARENA_MAX": "4"}, "True")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == changed


# Free memory in the midst of a heap, held at its end by one block.
HOLES = """
import ctypes, time
import psutil
from chattts_onnx.serve.memory import memory_given_back
resident = lambda: psutil.Process().memory_info().rss
with memory_given_back(every=0.05):
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    held = [libc.malloc(100_000) for _ in range(500)]
    for block in held:
        ctypes.memset(ctypes.c_void_p(block), 1, 100_000)
    full = resident()
    for block in held[:-1]:
        libc.free(block)
    until = time.monotonic() + 20
    while resident() > full - 40e6 and time.monotonic() < until:
        time.sleep(0.05)
    print(full - resident())
"""


@glibc
def test_holes_in_a_heap_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40e6


class Cycle:
    """What only the garbage collector frees; ``freed`` tells when."""

    def __init__(self, freed: threading.Event) -> None:
        self.itself = self
        weakref.finalize(self, freed.set)


def test_cyclic_garbage_is_collected_without_many_new_objects() -> None:
    freed = threading.Event()
    gc.disable()
    try:
        Cycle(freed)
        assert not freed.is_set()
        with memory_given_back(every=0.01):
            assert freed.wait(20)
    finally:
        gc.enable()
