"""glibc's allocator, told to give back what a burst of requests took."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Of malloc.h: the parameter, its value, and the variable with which an operator sets it himself.
# The threshold is glibc's own default.  Unless it is set, the first large array that is freed
# raises it up to 32 MiB, and twice that is kept at the end of each heap; and each thread takes one
# of eight heaps a core, each of which keeps the most that it ever held.
_PARAMETERS = (
    (-3, 128 * 1024, "MALLOC_MMAP_THRESHOLD_"),
    (-8, 2, "MALLOC_ARENA_MAX"),
)

TRIM_SECONDS = 10.0
"""How often free memory inside of heaps is given back, too.

glibc shortens a heap from its end only, where some small object of a later request may live for
long.  Going through 50 MB takes a millisecond.
"""


@contextmanager
def memory_given_back(every: float = TRIM_SECONDS) -> Iterator[None]:
    """:func:`give_back_memory`, and while the block runs a thread that empties heaps."""
    give_back_memory()
    trim = _c_function("malloc_trim")
    if trim is None:
        yield
        return
    over = threading.Event()

    def keep_trimming() -> None:
        while not over.wait(every):
            trim(0)

    thread = threading.Thread(target=keep_trimming, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def give_back_memory() -> bool:
    """Let the process's memory follow its load rather than its past; call it before threads start.

    Returns whether something was changed: not where the C library is another one, nor where the
    operator's environment says otherwise.
    """
    mallopt = _c_function("mallopt")
    if mallopt is None:
        return False
    changed = False
    for parameter, value, name in _PARAMETERS:
        if name not in os.environ:
            changed |= mallopt(parameter, value) == 1
    return changed


def _c_function(name: str) -> Any:
    """A function of the C library, or None where it has none of that name or is no Linux one."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
