"""How far a command is, on one line of a terminal that is written over."""

from __future__ import annotations

import sys
import time


class Progress:
    """Shows a line each ``every`` seconds; where no terminal is, each ``elsewhere``."""

    def __init__(
        self, quiet: bool = False, every: float = 0.2, elsewhere: float = float("inf")
    ) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._every = float("inf") if quiet else every if self._live else elsewhere
        self._shown = time.monotonic()

    def show(self, line: object) -> None:
        """Show a line if one is due."""
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            start, end = ("\r\033[K", "") if self._live else ("", "\n")
            print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the terminal's line."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
