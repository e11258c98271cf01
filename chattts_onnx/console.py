"""Standard output and error that show whatever a command prints."""

from __future__ import annotations

import io
import sys


def make_printable() -> None:
    """Escape what the console's encoding lacks (``\\u4f60``) instead of ending in a traceback.

    Standard error does so from the start, standard output only where it is UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
