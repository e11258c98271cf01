"""The end of a command: an exit status, and one paragraph for an error that has a name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from chattts_onnx.errors import ChatTTSError

P = ParamSpec("P")
USER_ERROR = 2


def command(name: str, *also: type[Exception]) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Make a function that returns an exit status one that returns 2 after a named error.

    The error is told on stderr; anything else is a fault of the program and keeps its traceback.

    Args:
        name: of the command, before the message.
        also: errors of others that a user can mend.
    """

    named: tuple[type[Exception], ...] = (ChatTTSError, *also)

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @wraps(main)
        def run(*args: P.args, **kwargs: P.kwargs) -> int:
            try:
                return main(*args, **kwargs)
            except named as error:
                told = f"{type(error).__name__}: {error}"
            except MemoryError as error:
                found = str(error) or "no more of it"
                told = (
                    f"MemoryError: found {found}; nothing is half-written, free some and run again"
                )
            print(f"{name}: {told}", file=sys.stderr)
            return USER_ERROR

        return run

    return decorate
