"""No test is skipped for a reason of which the summary does not say what enables it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lanes import LANES, lane_of, summary

TESTS = Path(__file__).parent


def reasons() -> Iterator[tuple[str, str]]:
    """Where tests skip, and the reason that they give."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            place = f"{path.relative_to(TESTS)}:{node.lineno}"
            if name.endswith("importorskip"):
                yield place, f"could not import {ast.unparse(node.args[0])}"
            elif name.endswith("pytest.skip") or name.endswith(("mark.skip", "mark.skipif")):
                given = [k.value for k in node.keywords if k.arg == "reason"] or node.args[:1]
                parts = [n.value for v in given for n in ast.walk(v) if isinstance(n, ast.Constant)]
                yield place, "".join(map(str, parts))


def test_every_reason_has_its_lane() -> None:
    found = dict(reasons())
    assert len(found) > 30
    assert [f"{place}: {why}" for place, why in found.items() if lane_of(why) is None] == []
    for lane in LANES:
        assert any(lane_of(why) is lane for why in found.values()), f"{lane.name}: nobody skips so"


def test_the_summary_has_a_line_a_lane() -> None:
    given = ["could not import 'ray': No module", "no zsh", "no fish", "because"]
    assert summary(given) == [
        "2 skipped: shells: .ci/prepare",
        "1 skipped: packages: make setup",
        "1 skipped: because: not known: tests/lanes.py lacks it",
    ]


def test_a_run_ends_with_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    pytester.makeconftest((TESTS / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\n@pytest.mark.skip(reason='no zsh')\ndef test(): pass")
    lines = pytester.runpytest_subprocess("-n", "1").outlines
    assert "1 skipped: shells: .ci/prepare" in lines
