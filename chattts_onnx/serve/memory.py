"""Memory that requests leave behind, given back: cyclic garbage, and what glibc keeps."""

from __future__ import annotations

import ctypes
import gc
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

GIVE_BACK_SECONDS = 10.0
"""How often garbage is collected, and free memory inside of heaps given back.

Python looks at old objects once their number has grown by a quarter, which in a server takes
minutes of closed connections (asyncio's transports are cycles) and failed requests (so are errors
with their frames).  Going through all objects takes 15 ms.  glibc shortens a heap from its end
only, where some small object of a later request may live for long.  Going through 50 MB takes a
millisecond.
"""


@contextmanager
def memory_given_back(every: float = GIVE_BACK_SECONDS) -> Iterator[None]:
    """:func:`give_back_memory`, and while the block runs a thread that does so again and again."""
    give_back_memory()
    trim = _c_function("malloc_trim")
    over = threading.Event()

    def keep_giving_back() -> None:
        while not over.wait(every):
            gc.collect()
            if trim is not None:
                trim(0)

    thread = threading.Thread(target=keep_giving_back, name="memory", daemon=True)
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
