"""The commands of ``chattts-onnx`` and how their errors are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..atomic_files import PLACE_ERRORS
from ..console import make_printable
from ..errors import ChatTTSError
from . import batch, completion, doctor, fetch, say, serve, verify, voices, wyoming

EXIT_USER_ERROR = 2
_EXAMPLES = """examples:
  chattts-onnx say "Please wait." -o wait.wav          # with an installed bundle
  chattts-onnx say -f book.txt -b bundles/int8 -o book.flac --voice anna
  echo "Call 555-1234." | chattts-onnx say -b bundles/int8 --voice 7 --play
  chattts-onnx batch corpus.jsonl -o speech -b bundles/int8 --voice 7
  chattts-onnx voices create anna --seed 7 -b bundles/int8
  chattts-onnx serve -b bundles/int8
  chattts-onnx doctor -b bundles/int8
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="chattts-onnx",
        description="Speak with ChatTTS from an ONNX bundle.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"chattts-onnx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (say, serve, wyoming, batch, voices, fetch, verify, doctor, completion):
        module.add_command(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 on success, 2 with one line on stderr for what the user can mend."""
    make_printable()
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed, parser)
        return status
    except ChatTTSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
        message = f"{type(error).__name__}: {error}{notes}".replace("\n", " ")
        print(f"chattts-onnx: {message}", file=sys.stderr)
        return EXIT_USER_ERROR
    except BrokenPipeError:
        # The listener went away; what is buffered would raise once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    except OSError as error:
        # Of an error with a name, such as one that is too long, the name says enough.
        if error.errno not in PLACE_ERRORS and not error.filename:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"chattts-onnx: {where}{error.strerror}; nothing is left half-written. Make room, or "
            "name another place.",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return 130
