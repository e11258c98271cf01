"""What a row says of the tests that stand for a promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.drills import outcomes


@pytest.mark.parametrize(
    ("body", "count", "broken"), [("", 1, 0), ("assert 0", 1, 1), (None, 0, 1)]
)
def test_what_fails_or_is_not_there_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str | None, count: int, broken: int
) -> None:
    runs = {"": (1, 0), "assert 0": (0, 1), None: (0, 0)}

    def run(_: list[str], plugins: list[object]) -> None:
        plugins[0].passed, plugins[0].failed = runs[body]  # type: ignore[attr-defined]

    monkeypatch.setattr(pytest, "main", run)
    row = outcomes.tested("files", "a promise", str(tmp_path), "", "how", "fine")
    assert (row.count, row.broken) == (count, broken)
    assert (row.result == "fine") == (not broken)
