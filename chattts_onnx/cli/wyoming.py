"""``chattts-onnx wyoming``: speech for Home Assistant."""

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import suppress

from ..errors import InputError
from .common import Commands, new_command

_EXAMPLES = """  chattts-onnx wyoming bundles/int8 --voice 7
  chattts-onnx wyoming http://127.0.0.1:8000 --listen tcp://0.0.0.0:10200 --languages zh
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    wyoming = new_command(
        commands, "wyoming", "answer Home Assistant in the Wyoming protocol", _EXAMPLES
    )
    wyoming.add_argument("source", help="bundle's folder, or address of a server")
    wyoming.add_argument("--listen", default="tcp://127.0.0.1:10200", help="address to listen on")
    wyoming.add_argument("--voice", help="for requests that name none")
    wyoming.add_argument(
        "--languages", nargs="+", default=["zh", "en"], help="what its voices are said to speak"
    )
    wyoming.add_argument("--api-key", help="of the server")
    wyoming.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Answer until told to stop."""
    try:
        from ..client.wyoming import serve_wyoming
    except ModuleNotFoundError as error:
        raise InputError(f"this needs {error.name}. Install chattts-onnx[wyoming].") from error
    from ..client import ChatTTSStreamer

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with ChatTTSStreamer(
        parsed.source, voice=parsed.voice, dtype="int16", api_key=parsed.api_key
    ) as streamer:
        work = serve_wyoming(streamer, parsed.listen, parsed.languages)
        print(f"listening on {parsed.listen}", flush=True)
        with suppress(KeyboardInterrupt):
            try:
                asyncio.run(work)
            except (OSError, ValueError, OverflowError) as error:
                raise InputError(f"cannot listen on {parsed.listen}: {error}.") from error
    return 0
