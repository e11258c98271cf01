"""Write what is made of code and reports, or say what is stale."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.docs import (
    cli_page,
    conf_page,
    errors_page,
    http_page,
    python_page,
    reports_page,
    stages_page,
)
from pipeline.docs.markdown import made_by
from pipeline.docs.readme_parts import fill

ROOT = Path(__file__).resolve().parents[2]
README = "README.md"
REFERENCE = Path("docs/reference")
COMMAND = "python -m pipeline.docs"
PAGES: dict[str, Callable[[Path], str]] = {
    "cli.md": cli_page.render,
    "configuration.md": conf_page.render,
    "errors.md": errors_page.render,
    "http.md": http_page.render,
    "python.md": python_page.render,
    "reports.md": reports_page.render,
    "stages.md": stages_page.render,
}


def made(root: Path = ROOT) -> dict[str, Callable[[], str]]:
    """Every file that is made here, by its path below ``root``, and how."""

    def page(render: Callable[[Path], str]) -> Callable[[], str]:
        return lambda: f"{made_by(COMMAND)}\n\n{render(root).strip()}\n"

    pages = {(REFERENCE / name).as_posix(): page(render) for name, render in PAGES.items()}
    return {**pages, README: lambda: fill((root / README).read_text(encoding="utf-8"), root)}


@command("docs")
def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; exit status 1 when ``--check`` finds a stale file, 2 for an error."""
    about = "Write docs/reference and the figures of README.md from code, conf/ and reports/."
    parser = argparse.ArgumentParser(prog=COMMAND, description=about)
    parser.add_argument("--check", action="store_true", help="write nothing, name what is stale")
    check = parser.parse_args(arguments).check
    texts = {path: make() for path, make in made().items()}
    stale = [path for path, text in texts.items() if _text(ROOT / path) != text]
    for path in stale:
        print(f"stale: {path}" if check else path)
        if not check:
            write_text(ROOT / path, texts[path])
    return 1 if check and stale else 0


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
