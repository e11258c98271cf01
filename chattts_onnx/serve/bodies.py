"""Query strings and JSON bodies as UTF-8, whatever charset they declare, before a route sees them.

Left alone, a query of other bytes would reach a route with U+FFFD in it and be spoken.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope

from ..charset import declared, decode
from ..errors import InputError
from ..untrusted import brief

_QUERY_HINT = "percent-encode UTF-8, or POST the text with its charset in Content-Type"
_BODY_HINT = "send UTF-8, or name its charset, as in Content-Type: application/json; charset=gbk"


async def decoded(scope: Scope, receive: Receive) -> Receive:
    """Check the query of a request and give its JSON in UTF-8; files keep their bytes.

    A body that begins as JSON counts as JSON whatever Content-Type says, since curl says
    ``application/x-www-form-urlencoded`` unless told otherwise.  Raises :class:`.InputError`.
    """
    query: bytes = scope.get("query_string", b"")
    decode(unquote_to_bytes(query.replace(b"+", b" ")), "the query", hint=_QUERY_HINT)
    kind = Headers(scope=scope).get("content-type", "")
    if scope["method"] not in ("POST", "PUT", "PATCH") or kind.startswith("multipart/"):
        return receive
    packed = Headers(scope=scope).get("content-encoding", "identity").lower()
    if packed not in ("", "identity"):
        raise InputError(
            f"the body is packed (Content-Encoding: {brief(packed)}); send it as it is."
        )
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return _after(message, receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    text = decode(body, "the body", declared(kind), hint=_BODY_HINT)
    if text.lstrip().startswith(("{", "[")):
        headers = MutableHeaders(scope=scope)
        headers["content-type"] = "application/json"
        body = text.encode()
        headers["content-length"] = str(len(body))
    return _after({"type": "http.request", "body": body, "more_body": False}, receive)


def _after(message: Message, receive: Receive) -> Receive:
    """``message`` once, then what comes behind it."""
    waiting = [message]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
