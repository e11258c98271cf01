"""Open files: how many connections they allow, and what is said where there are none left."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Any

from ..errors import InputError

log = logging.getLogger("chattts_onnx.serve")

# Bundles, jobs, threads and libraries, and connections that were accepted and not yet counted.
OWN_FILES = 256
# Connections that are accepted before any of them is looked at.
ACCEPTED_AT_ONCE = 64
# What is kept of connections beyond those that are served: enough to answer them with 503.
SPARE = 2
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_QUIET_SECONDS = 60.0


def connections_allowed(wanted: int) -> int:
    """``wanted`` connections, or as many as the limit of open files has room for.

    Raises the process's own limit as far as it may; says so where that does not suffice.  Raises
    :class:`InputError` where nothing would be left.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = OWN_FILES + SPARE * wanted
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = (soft - OWN_FILES) // SPARE
    if allowed < 1:
        raise InputError(
            f"at most {soft} files may be open; serving needs more than {OWN_FILES + SPARE}. Raise "
            "the limit (ulimit -n)."
        )
    if allowed < wanted:
        log.warning(
            "at most %d files may be open: %d connections are served, not %d; raise the limit "
            "(ulimit -n)",
            soft, allowed, wanted,
        )  # fmt: skip
    return min(wanted, allowed)


class LoopErrors:
    """An event loop's handler of errors that tells of connections which cannot be accepted once a
    minute, and hands everything else on."""

    def __init__(self) -> None:
        self._told = -_QUIET_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told >= _QUIET_SECONDS:
            self._told = time.monotonic()
            log.error("no connection can be accepted: %s; others go on", error.strerror)
