"""One request for speech: what may be asked for, checked against the server's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

from ..errors import InputError
from ..model import Model
from ..speech.live import LiveText
from ..speech.options import SpeechOptions


@dataclass(init=False)
class SpeechRequest:
    """What to speak and how: a text, a ``voice`` (see :meth:`.VoiceShelf.shared`), the ``variant``
    (None: the default bundle) and any of :class:`.SpeechOptions`.  ``live`` is a text that is still
    being written, in place of ``text``.
    """

    text: str
    voice: str | int | None
    variant: str | None
    options: SpeechOptions
    live: LiveText | None

    def __init__(
        self,
        text: str,
        voice: str | int | None = None,
        variant: str | None = None,
        *,
        live: LiveText | None = None,
        **options: Unpack[SpeechOptions],
    ) -> None:
        self.text, self.voice, self.variant, self.options = text, voice, variant, options
        self.live = live

    def limited(self, bundle: Model, most_steps: int, seed: int) -> SpeechOptions:
        """The options with a ``seed`` and at most ``most_steps`` steps a piece.

        Raises :class:`InputError` when more are asked for.
        """
        wanted = self.options.get("max_new_tokens")
        if wanted is not None and wanted > most_steps:
            raise InputError(f"max_new_tokens is {wanted}; at most {most_steps} are allowed.")
        steps = min(most_steps, bundle.default_params("code").max_new_tokens)
        return {**self.options, "max_new_tokens": wanted or steps, "seed": seed}
