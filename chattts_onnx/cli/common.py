"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..format.installed import VARIABLE, find_bundle
from ..native.choice import CHOICES, STEP_VARIABLE

if TYPE_CHECKING:
    from ..bundle import Bundle

Commands = Any  # argparse names the type of add_subparsers() privately


def new_command(
    commands: Commands, name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    """A command with its examples below its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """``-b/--bundle``."""
    parser.add_argument(
        "-b",
        "--bundle",
        type=Path,
        help=f"a bundle's folder, or the name of an installed one (default: ${VARIABLE}, then the "
        "one that is installed)",
    )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """How sessions are opened."""
    parser.add_argument("--threads", type=int, help="default: the physical cores")
    parser.add_argument(
        "--provider", action="append", help="ONNX Runtime provider; may be repeated"
    )
    parser.add_argument(
        "--step",
        choices=CHOICES,
        help=f"what runs the GPT's steps: the compiled library or ONNX Runtime (default: "
        f"${STEP_VARIABLE}, else auto, the library wherever it fits)",
    )
    parser.add_argument("--no-verify", action="store_true", help="skip the sha256 check")


def bundle_folder(parsed: argparse.Namespace) -> Path:
    """The bundle's folder; :class:`InputError` when none was named and none is installed."""
    return find_bundle(parsed.bundle)


def open_named_bundle(parsed: argparse.Namespace, *, huge_pages: bool = False) -> Bundle:
    """Open the bundle that the arguments name; ``huge_pages`` for work of more than a sentence."""
    folder = bundle_folder(parsed)
    from ..bundle import open_bundle

    return open_bundle(
        folder,
        getattr(parsed, "provider", None),
        getattr(parsed, "threads", None),
        verify=not getattr(parsed, "no_verify", False),
        huge_pages=huge_pages,
        step=getattr(parsed, "step", None),
    )
