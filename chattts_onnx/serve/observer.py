"""What a service tells about itself while it runs; metrics are one listener."""

from __future__ import annotations

from collections.abc import Mapping


class Observer:
    """Does nothing; override what is wanted.  Called from several threads."""

    def first_audio(self, variant: str, seconds: float) -> None:
        """A request's first audio was ready ``seconds`` after it was admitted."""

    def ended(self, variant: str, outcome: str, seconds: float, audio_seconds: float) -> None:
        """A request ended: ``outcome`` is ok, cancelled, invalid, timeout, slow, stopped, failed,
        and ``audio_seconds`` is how much speech it made."""

    def drawn(self, variant: str, refused: Mapping[str, int], faults: Mapping[str, int]) -> None:
        """A request ended for which takes were ``refused`` and drawn again, fault -> number, and
        pieces stayed wrong, since no take was left (``faults``)."""

    def refused(self, outcome: str) -> None:
        """A request was not admitted: overload, stopped, invalid."""

    def exchanged(self, variant: str, outcome: str) -> None:
        """A bundle was exchanged (``ok``) or could not be (``failed``)."""
