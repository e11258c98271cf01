"""What a client raises beside the errors that the engine raises itself."""

from __future__ import annotations

import json

from .. import errors
from ..errors import ChatTTSError, OverloadedError


class RemoteError(ChatTTSError):
    """The server answered with an error that has no class of its own here."""


class ConnectionFailedError(RemoteError):
    """The server could not be reached, or did not answer in time."""


class BrokenStreamError(RemoteError):
    """The audio broke off before its end: what was heard is not the whole text."""


def remote_error(status: int, body: bytes, retry_after: str | None) -> ChatTTSError:
    """The error that a server's answer tells, of the class that it has on the server."""
    try:
        detail = json.loads(body)["error"]
        kind, message = str(detail["type"]), str(detail["message"])
    except (ValueError, KeyError, TypeError):
        kind, message = "", body[:200].decode("utf-8", "replace") or "no message"
    if status == 429:
        wait = int(retry_after) if retry_after and retry_after.isdecimal() else 1
        return OverloadedError(message, wait)
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, ChatTTSError):
        return known(message)
    return RemoteError(f"the server answered with status {status}: {message}")
