"""Weights on huge pages (Linux).

A decoding step reads every weight once, so with pages of 4 KiB each step misses the TLB some
70,000 times at full size.  ONNX Runtime allocates weights with ``malloc``, and where the system's
policy is ``madvise`` (the default of most distributions) nobody asks for more.  Here it is asked
for, after the fact and only for memory that is in use, so that a process grows by nothing.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HUGE = 2 << 20
"""Bytes of a huge page on x86-64, and on arm64 with base pages of 4 KiB."""

_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25

_SMALL = 4096

Span = tuple[int, int]


@contextmanager
def huge_pages(wanted: bool = True) -> Iterator[None]:
    """Put what is allocated inside, and still there at the end, on huge pages where one can.

    Nothing happens on other systems, where the administrator's policy is ``never``, and on kernels
    before 6.1, which cannot do it at once.
    """
    if not wanted or not available():
        yield
        return
    before = anonymous_spans()
    yield
    for start, end in added(before, anonymous_spans()):
        for run in _resident_runs(start, end):
            _collapse(*run)


def available() -> bool:
    """Whether this system lets a process ask for huge pages."""
    if sys.platform != "linux" or mmap.PAGESIZE != _SMALL:
        return False
    try:
        return "[never]" not in _POLICY.read_text(encoding="ascii")
    except OSError:
        return False


def anonymous_spans() -> list[Span]:
    """Writable private memory of this process that belongs to no file, in order of address."""
    spans = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == "rw-p" and inode == "0" and (not name or name[0] == "[heap]"):
            start, end = addresses.split("-")
            spans.append((int(start, 16), int(end, 16)))
    return spans


def added(before: Iterable[Span], after: Iterable[Span]) -> Iterator[Span]:
    """What of ``after`` was not in ``before``: the kernel joins neighbours, so spans grow."""
    known = sorted(before)
    for start, end in after:
        for low, high in known:
            if high <= start or low >= end:
                continue
            if low > start:
                yield start, low
            start = max(start, high)
        if start < end:
            yield start, end


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return libc


def _resident_runs(start: int, end: int) -> Iterator[Span]:
    """Parts of a span, whole huge pages, of which every small page is in memory."""
    start, end = -(-start // HUGE) * HUGE, end // HUGE * HUGE
    if end <= start:
        return
    flags = np.zeros((end - start) // _SMALL, np.uint8)
    if _libc().mincore(start, end - start, flags.ctypes.data):
        return  # freed by another thread meanwhile
    dense = (flags & 1).reshape(-1, HUGE // _SMALL).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dense, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2):
        yield start + int(first) * HUGE, start + int(last) * HUGE


def _collapse(start: int, end: int) -> None:
    """Best effort: a refusal leaves the memory as it is."""
    libc = _libc()
    libc.madvise(start, end - start, _MADV_HUGEPAGE)
    libc.madvise(start, end - start, _MADV_COLLAPSE)
