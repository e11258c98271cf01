"""API keys, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from ..errors import AccessError


def digest(key: str) -> bytes:
    """What is compared and remembered instead of a key; equal lengths hide the key's own."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class KeyRing:
    """The keys that are let in; none means that everybody is."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [digest(key) for key in keys]

    @property
    def open(self) -> bool:
        """Whether no key is needed."""
        return not self._digests

    def owner(self, authorization: str | None, api_key: str | None) -> str:
        """Who asks: '' where no key is needed, else a name made of the key.

        Takes the headers ``Authorization: Bearer KEY`` and ``X-API-Key: KEY``; raises
        :class:`AccessError`.
        """
        if self.open:
            return ""
        scheme, _, bearer = (authorization or "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else (api_key or "")
        found = digest(given)
        # All are compared, so that the time does not tell which one it was.
        matches = [hmac.compare_digest(found, known) for known in self._digests]
        if not given or not any(matches):
            raise AccessError(
                "no API key, or a wrong one; send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
            )
        return found.hex()
