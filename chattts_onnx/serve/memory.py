"""glibc's allocator, told to give back what a burst of requests took."""

from __future__ import annotations

import ctypes
import os
import sys

# Of malloc.h: the parameter, its value, and the variable with which an operator sets it himself.
# The threshold is glibc's own default.  Unless it is set, the first large array that is freed
# raises it up to 32 MiB, and twice that is kept at the end of each heap; and each thread takes one
# of eight heaps a core, each of which keeps the most that it ever held.
_PARAMETERS = (
    (-3, 128 * 1024, "MALLOC_MMAP_THRESHOLD_"),
    (-8, 2, "MALLOC_ARENA_MAX"),
)


def give_back_memory() -> bool:
    """Let the process's memory follow its load rather than its past; call it before threads start.

    Returns whether something was changed: not where the C library is another one, nor where the
    operator's environment says otherwise.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    changed = False
    for parameter, value, name in _PARAMETERS:
        if name not in os.environ:
            changed |= mallopt(parameter, value) == 1
    return changed
