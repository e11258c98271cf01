"""Who may ask from a browser: the names this server answers to, and the pages that may call it.

A page of anywhere can send requests to a server on the user's own machine, and by a name that it
points at 127.0.0.1 (DNS rebinding) it can read the answers as well.  A browser says in ``Host``
which name it asked, and in ``Origin`` or ``Sec-Fetch-Site`` for which page.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import OriginError

_LOOPBACK = "localhost"


def is_loopback(host: str) -> bool:
    """Whether a name or address leads to this machine alone."""
    name = host.strip("[]").lower()
    if name == _LOOPBACK or name.endswith(f".{_LOOPBACK}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Origins:
    """The names and pages that are let in.

    On loopback the names are its own; on other addresses every name is, unless ``hosts`` names
    some.  ``origins`` are pages of elsewhere that may call, ``*`` any of them.
    """

    def __init__(self, listens: str, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.lower() for origin in origins}
        self._watched = is_loopback(listens) or bool(hosts)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise :class:`OriginError` for a request that a foreign page, or a foreign name, made."""
        if not self._watched:
            return
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if host and not (is_loopback(name) or name in self._hosts):
            raise OriginError(
                f"this server does not answer to the name {name[:80]!r}; add it to allowed_hosts."
            )
        if "*" in self._origins:
            return
        origin = headers.get("origin", "").lower()
        if origin and origin not in self._origins and urlsplit(origin).netloc != host.lower():
            raise OriginError(
                f"pages of {origin[:80]!r} may not call this server; add it to cors_origins."
            )
        # A link, picture or player of another page sends no origin, only where it stands.
        foreign = headers.get("sec-fetch-site", "") == "cross-site"
        if foreign and not origin and headers.get("sec-fetch-mode", "") != "navigate":
            raise OriginError("pages of other sites may not call this server; see cors_origins.")
