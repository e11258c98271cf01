"""Links between pages lead somewhere, headings included, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pipeline.project import ROOT, files

_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def pages() -> list[str]:
    return [name for name in files("*.md") if not name.startswith("reports/")]


def links(path: Path) -> list[tuple[str, str]]:
    """Targets outside of code, with their headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", text))


def anchors(path: Path) -> set[str]:
    """The headings as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target, heading in links(path):
        found = path.parent / target if target else path
        assert found.exists(), f"{target} is not there"
        if heading:
            assert heading in anchors(found), f"{target} has no heading {heading}"


def test_the_index_names_every_page_of_its_parts() -> None:
    index = ROOT / "docs/README.md"
    named = {(index.parent / target).resolve() for target, _ in links(index)}
    found = {path.resolve() for path in (ROOT / "docs").glob("*/*.md")}
    assert found - named == set()
