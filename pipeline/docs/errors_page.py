"""``docs/reference/errors.md``: every named error, its parent, and the HTTP status it becomes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from chattts_onnx.errors import ChatTTSError
from chattts_onnx.serve.errors import status_of
from pipeline.docs.markdown import code, summary, table

_PACKAGES = ("chattts_onnx", "pipeline")
_ABOUT = """Every error that is raised on purpose derives from `ChatTTSError`. Its message says what
was found, what was expected and what to do. Commands print it in one line and end with status 2;
the server answers with the status below (500 is a fault of the server); from Python they are
raised."""


def render(root: Path) -> str:
    """The page's Markdown, from the modules called ``errors.py`` below ``root``."""
    blocks = ["# Errors", _ABOUT]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("errors.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            rows = [_row(error) for error in _defined_in(name)]
            if not rows:
                continue
            blocks += [f"## `{name}`", table(("error", "is a", "HTTP", "when"), rows)]
    return "\n\n".join(blocks)


def _defined_in(name: str) -> list[type[Exception]]:
    values = vars(import_module(name)).values()
    return [
        value
        for value in values
        if isinstance(value, type) and issubclass(value, ChatTTSError) and value.__module__ == name
    ]


def _row(error: type[Exception]) -> tuple[str, str, str, str]:
    parent = error.__bases__[0].__name__
    status = str(status_of(error.__new__(error))) if "chattts_onnx" in error.__module__ else ""
    return code(error.__name__), code(parent), status, summary(error.__doc__)
