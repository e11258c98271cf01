"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from ..choices import Backend
from ..format.installed import VARIABLE, find_bundle
from ..native.choice import CHOICES, STEP_VARIABLE
from ..speech.options import OPTIONS, VOICE_HELP, SpeechOptions, check_options

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..text import TextOptions

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


def add_options(parser: argparse.ArgumentParser) -> None:
    """How a text is read and spoken: an argument for each of :data:`OPTIONS`, with its words."""
    voice = parser.add_argument_group("voice and style")
    voice.add_argument("--voice", help=f"{VOICE_HELP}; or a file (FILE#NAME picks from several)")
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--encoding", help="of the text where it is not UTF-8: gb18030, big5, cp1252, utf-16-le, …"
    )
    reading.add_argument("--lexicon", type=Path, help="YAML or JSON of words and their speech")
    reading.add_argument(
        "--text-backend", choices=get_args(Backend), default="auto", help="of rare symbols"
    )
    groups = {
        "style": voice,
        "sound": parser.add_argument_group("sound", "what the extra media does to any voice"),
        "sampling": parser.add_argument_group("sampling"),
        "reading": reading,
    }
    for name, option in OPTIONS.items():
        how: dict[str, Any] = {"type": option.kind, "choices": option.choices or None}
        if option.kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        flag = "--" + option.shown.replace("_", "-")
        groups[option.group].add_argument(flag, dest=name, help=option.words, **how)


def given_options(parsed: argparse.Namespace) -> SpeechOptions:
    """The options that were given; :class:`InputError` for what is out of its bounds."""
    values = {name: getattr(parsed, name) for name in OPTIONS}
    given = {name: value for name, value in values.items() if value is not None}
    check_options(given)
    return cast("SpeechOptions", given)


def text_options(parsed: argparse.Namespace) -> TextOptions:
    """How the arguments want the text read, its lexicon read."""
    from ..speech.requests import Options, text_options
    from ..text import Lexicon, TextOptions

    lexicon = Lexicon.load(parsed.lexicon) if parsed.lexicon else Lexicon()
    own: Options = {"text_options": TextOptions(backend=parsed.text_backend, lexicon=lexicon)}
    return text_options({**given_options(parsed), **own})


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
