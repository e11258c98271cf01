"""A test that hangs fails, and says where; slow ones have more time."""

from __future__ import annotations

import pytest


def test_every_test_has_a_timeout(request: pytest.FixtureRequest) -> None:
    limit = float(request.config.getini("timeout"))
    assert 0 < limit <= 600
    for item in request.session.items:
        marker = item.get_closest_marker("timeout")
        assert marker is None or 0 < marker.args[0] <= 3 * limit
        assert marker is not None or item.get_closest_marker("slow") is None


def test_a_test_that_hangs_fails_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import threading\ndef test_wait():\n    threading.Event().wait()\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "timeout=1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Timeout*", "*test_wait*"])
