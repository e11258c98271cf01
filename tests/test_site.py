"""The documentation's site: every page has a place in it, and links out of docs/ lead nowhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HOOK = runpy.run_path(str(DOCS / "site.py"))["on_page_markdown"]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"[\w/-]+\.md(?=$|\s)", text.partition("\nnav:")[2], re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[text](text.md)", "[text](text.md)"),
        ("[start](../README.md#how-to-guides)", "[start](../README.md#how-to-guides)"),
        ("[a rule](../../pipeline/fusion/rule.py)", "a rule (`pipeline/fusion/rule.py`)"),
        ("[`Makefile`](../../Makefile)", "`Makefile`"),
        ("[out](https://example.org/x)", "[out](https://example.org/x)"),
        ("[here](#below)", "[here](#below)"),
    ],
)
def test_only_links_to_files_of_the_repository_are_taken_off(written: str, shown: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/speaking.md"))
    assert HOOK(written, page=page) == shown
