from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.graphs import huge_pages
from chattts_onnx.graphs.huge_pages import HUGE, added

needs_huge_pages = pytest.mark.skipif(
    not huge_pages.available(), reason="this system has no huge pages to ask for"
)


def _on_huge_pages(array: np.ndarray) -> int:
    """Bytes of the mappings that ``array`` lies in that are on huge pages."""
    start = array.ctypes.data
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if span := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            low, high = (int(value, 16) for value in span.groups())
            inside = low < start + array.nbytes and start < high
        elif inside and line.startswith("AnonHugePages:"):
            found += int(line.split()[1]) << 10
    return found


def test_what_was_added_to_spans_that_grew_joined_or_vanished() -> None:
    before = [(0, 10), (20, 30), (50, 60)]
    assert list(added(before, before)) == []
    assert list(added(before, [(0, 30), (40, 45)])) == [(10, 20), (40, 45)]
    assert list(added(before, [(15, 70)])) == [(15, 20), (30, 50), (60, 70)]
    assert list(added([], [(1, 2)])) == [(1, 2)]


@needs_huge_pages
def test_what_is_allocated_inside_ends_on_huge_pages_and_keeps_its_bytes() -> None:
    outside = np.ones(8 * HUGE, np.uint8)
    with huge_pages.huge_pages():
        inside = np.arange(2 * HUGE, dtype=np.int64)
    if not _on_huge_pages(inside):
        pytest.skip("this kernel cannot collapse at once")
    assert _on_huge_pages(inside) >= inside.nbytes - 2 * HUGE
    np.testing.assert_array_equal(inside, np.arange(2 * HUGE))
    assert outside.all()


@needs_huge_pages
def test_memory_that_is_not_in_use_is_not_filled() -> None:
    with huge_pages.huge_pages():
        region = mmap.mmap(-1, 16 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        region[0] = 1
    assert _on_huge_pages(np.frombuffer(region, np.uint8)) == 0


def test_nothing_is_asked_where_it_is_not_wanted_or_not_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huge_pages, "anonymous_spans", lambda: pytest.fail("looked at memory"))
    with huge_pages.huge_pages(wanted=False):
        pass
    policy = tmp_path / "enabled"
    monkeypatch.setattr(huge_pages, "_POLICY", policy)
    for text in (None, "always madvise [never]\n"):
        if text:
            policy.write_text(text, encoding="ascii")
        with huge_pages.huge_pages():
            pass
    monkeypatch.setattr(sys, "platform", "darwin")
    with huge_pages.huge_pages():
        pass


def test_a_bundle_on_huge_pages_computes_the_same(bundle_path: Path, bundle: Bundle) -> None:
    moved = open_bundle(bundle_path, verify=False, huge_pages=True)
    mel = np.random.default_rng(0).normal(size=(1, bundle.model.num_mels, 12)).astype(np.float32)
    (name,) = (info.name for info in bundle.manifest.graph("vocos").inputs)
    want, found = (one.session("vocos").run(None, {name: mel})[0] for one in (bundle, moved))
    np.testing.assert_array_equal(want, found)
