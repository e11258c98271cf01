"""``chattts-onnx serve``: speech over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .common import Commands, new_command

if TYPE_CHECKING:
    from ..serve.signals import Signals

_EXAMPLES = """  chattts-onnx serve -b bundles/int8
  chattts-onnx serve -b bundles/int8 -b exact=bundles/fp32 --port 8000 --slots 16 --queue 64
  chattts-onnx serve -b bundles/int8 --host 0.0.0.0 --api-key-file keys.txt --watch-seconds 10
"""


def add_command(commands: Commands) -> None:
    """Declare the command; its options are the fields of ``ServeSettings``."""
    serve = new_command(commands, "serve", "answer HTTP requests for speech", _EXAMPLES)
    serve.add_argument(
        "-b",
        "--bundle",
        action="append",
        metavar="[NAME=]FOLDER",
        help="bundle to serve; may be repeated, the first is the default ($CHATTTS_BUNDLE)",
    )
    serve.add_argument(
        "--api-key-file",
        type=Path,
        help="keys that clients must send, one a line ($CHATTTS_API_KEYS)",
    )
    serve.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    from ..serve.settings import options, variable

    for entry in options():
        flag, about = "--" + entry.name.replace("_", "-"), entry.metadata["help"]
        default = "none" if entry.default == () else entry.default
        about = f"{about} (default {default}; ${variable(entry.name)})".replace("%", "%%")
        if isinstance(entry.default, bool):
            about = f"{entry.metadata['help']} (${variable(entry.name)})"
            serve.add_argument(flag, action="store_true", default=None, help=about)
        else:
            serve.add_argument(flag, type=entry.metadata["parse"], help=about)
    serve.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Serve until told to stop."""
    from ..serve.signals import Signals

    with Signals() as signals:
        return _serve(parsed, signals)


def _serve(parsed: argparse.Namespace, signals: Signals) -> int:
    from ..serve.settings import gather

    settings = gather(parsed.bundle or [], vars(parsed), os.environ, parsed.api_key_file)
    try:
        from ..serve.http.run import serve
    except ModuleNotFoundError as error:
        raise InputError(f"serving needs {error.name}. Install chattts-onnx[serve].") from error
    logging.basicConfig(
        level=parsed.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    serve(settings, signals)
    return 0
