"""One request for speech: what may be asked for, checked against the server's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..errors import InputError, VoiceError
from ..speech.options import Options
from ..text import TextOptions
from ..text.choices import Code, Markup
from ..voices import vectors as voices
from ..voices.mixing import mix

Floats = npt.NDArray[np.float32]

# A text form of 768 numbers takes some 800 characters.
_LONGEST_VOICE = 8192
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class SpeechRequest:
    """What to speak and how; None takes the bundle's default.

    ``voice`` is a seed, the name of one of the bundle's voices, or a voice's text form; never a
    file's name.  The other options are those of :class:`chattts_onnx.speech.options.Options`.
    """

    text: str
    voice: str | int | None = None
    variant: str | None = None
    speed: int | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_new_tokens: int | None = None
    refine: bool = False
    oral: int | None = None
    laugh: int | None = None
    break_: int | None = None
    normalize: bool = True
    language: Literal["auto", "zh", "en"] | None = None
    markup: Markup | None = None
    code: Code | None = None

    def options(self, bundle: Bundle, most_steps: int, seed: int) -> Options:
        """Options for the engine, with at most ``most_steps`` steps a piece.

        Raises :class:`InputError`.
        """
        params = bundle.default_params("code")
        usual = min(most_steps, params.max_new_tokens)
        wanted = self.max_new_tokens
        if wanted is not None and wanted > most_steps:
            raise InputError(f"max_new_tokens is {wanted}; at most {most_steps} are allowed.")
        steps = usual if wanted is None else wanted
        changes = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
        }
        params = params.but(
            max_new_tokens=steps,
            min_new_tokens=max(0, min(params.min_new_tokens, steps)),
            **{name: value for name, value in changes.items() if value is not None},
        )
        if not 0 <= seed <= _LARGEST_SEED:
            raise InputError(f"seed is {seed}; expected 0 to {_LARGEST_SEED}.")
        options: Options = {
            "params": params,
            "seed": seed,
            "speed": self.speed,
            "oral": self.oral,
            "laugh": self.laugh,
            "break_": self.break_,
            "normalize": self.normalize,
        }
        if any((self.language, self.markup, self.code)):
            options["text_options"] = TextOptions(
                language=self.language or "auto",
                markup=self.markup or "auto",
                code=self.code or "read",
            )
        if self.refine:
            options["skip_refine"] = False
        return options


def find_voice(bundle: Bundle, voice: str | int | None) -> Floats | None:
    """The speaker vector [hidden] of a request's voice.

    Raises :class:`VoiceError`.  Files are not read, so that no client can probe the machine.
    """
    if voice is None or voice == "":
        return None
    if isinstance(voice, int) or voice.isdecimal():
        number = int(voice) if len(str(voice)) <= 10 else _LARGEST_SEED + 1
        if not 0 <= number <= _LARGEST_SEED:
            raise VoiceError(f"a voice's seed is a whole number of 0 to {_LARGEST_SEED}.")
        return bundle.speaker(number)
    names = bundle.shelf.names
    if voice in names:
        return bundle.speaker(names[voice])
    if len(voice) <= _LONGEST_VOICE and _is_text_form(voice):
        return voices.decode_speaker(voice, bundle.model.hidden_size)
    if (mixed := mix(voice, lambda name: _part(bundle, name))) is not None:
        return mixed
    listed = ", ".join(names) or "it has none"
    raise VoiceError(f"no such voice; expected a seed, a text form, or a name ({listed}).")


def _part(bundle: Bundle, name: str) -> Floats:
    found = find_voice(bundle, name)
    if found is None:
        raise VoiceError("a mix has a voice without a name; expected one such as joe(2)+ava(1).")
    return found


def _is_text_form(voice: str) -> bool:
    """As :func:`.voices.is_text_form`, of voices of any size: no file's name is in the way here."""
    return len(voice) > 16 and voices.is_text_form(voice * 4)
