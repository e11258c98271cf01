from __future__ import annotations

from typing import Any

import pytest

from pipeline.release.lock import stale


@pytest.mark.parametrize(
    ("reasons", "found"),
    [
        ([{"changed outs": {"bundles/int8": "deleted"}}], []),
        ([{"changed outs": {"bundles/int8": "not in cache"}}], []),
        ([{"changed deps": {"build/checkpoint": "deleted"}}], []),
        ([{"changed deps": {"chattts_onnx": "modified"}}], ["int8: chattts_onnx is modified"]),
        (
            [{"changed deps": {"params.yaml": {"tools.onnx": "modified"}}}],
            ["int8: tools.onnx is modified"],
        ),
        ([{"changed deps": {"params.yaml": {"seed": "new"}}}], ["int8: seed is new"]),
        ([{"changed outs": {"reports/a.md": "modified"}}], ["int8: reports/a.md is modified"]),
        (["changed command"], ["int8: the command is changed command"]),
    ],
)  # fmt: skip
def test_only_what_git_keeps_counts(reasons: list[Any], found: list[str]) -> None:
    assert stale({"int8": reasons}) == found
