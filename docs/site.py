"""A hook of MkDocs: links that leave ``docs/`` have nothing to lead to on the site.

They become the path's name in code type, as a reader of the site has no files of the repository.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's Markdown without links to files outside of the documentation's folder."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        _, label, target, _ = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if not path.startswith(".."):
            return match.group(0)
        name = path.lstrip("./")
        return label if label.strip("`") == name else f"{label} (`{name}`)"

    return _LINK.sub(inside, markdown)
