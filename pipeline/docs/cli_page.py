"""``docs/reference/cli.md``: every command of ``chattts-onnx``, from its own parser."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from chattts_onnx.cli import build_parser
from pipeline.docs.markdown import code, table

_ABOUT = """Exit status 0: done. 1: some lines of a batch failed, or a check found something.
2: something that you can mend, told in one line on stderr ([errors](errors.md))."""


def render(root: Path) -> str:
    """The page's Markdown; ``root`` is not read."""
    # Variables such as CHATTTS_BUNDLE would show as defaults.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATTTS_")}
    with mock.patch.dict(os.environ, kept, clear=True):
        blocks = ["# Command line", _ABOUT]
        for command, parser in commands(build_parser()):
            blocks += _command(command, parser)
    return "\n\n".join(blocks)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A program and all its subcommands, each with the words that call it."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from commands(sub)


def _command(name: str, parser: argparse.ArgumentParser) -> list[str]:
    blocks = [f"## `{name}`", parser.description or ""]
    for group in parser._action_groups:
        rows = [_argument(parser, action) for action in group._group_actions if _shown(action)]
        if rows:
            title = (group.title or "").capitalize()
            blocks += [f"**{title}**", table(("argument", "what"), rows)]
    if parser.epilog:
        examples = parser.epilog.partition("\n")[2].rstrip()
        blocks.append(f"```text\n{_dedented(examples)}\n```")
    return [block for block in blocks if block]


def _shown(action: argparse.Action) -> bool:
    return not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    formatter = parser._get_formatter()
    help_text = formatter._expand_help(action) if action.help else ""
    choices = "" if action.choices is None or action.metavar else _choices(action)
    return ", ".join(_names(action)), "; ".join(part for part in (help_text, choices) if part)


def _names(action: argparse.Action) -> list[str]:
    if not action.option_strings:
        more = " …" if action.nargs in ("*", "+") else ""
        return [code(str(action.metavar or action.dest) + more)]
    if action.nargs == 0:
        return [code(option) for option in action.option_strings]
    value = str(action.metavar or action.dest.upper())
    return [code(f"{option} {value}") for option in action.option_strings]


def _choices(action: argparse.Action) -> str:
    found = [str(choice) for choice in action.choices or ()]
    default = action.default if str(action.default) in found else None
    listed = ", ".join(code(choice) for choice in found)
    return f"{listed} (default: {default})" if default is not None else listed


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in text.splitlines())
