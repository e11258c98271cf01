"""What may be asked for to run the GPT's steps."""

from __future__ import annotations

import os

from ..errors import InputError

STEP_VARIABLE = "CHATTTS_STEP"
INSTRUCTIONS_VARIABLE = "CHATTTS_INSTRUCTIONS"
AUTO, NATIVE, ORT = "auto", "native", "ort"
CHOICES = (AUTO, NATIVE, ORT)


def wanted_step(step: str | None) -> str:
    """``step``, else what the variable CHATTTS_STEP says, else ``auto``."""
    wanted = step or os.environ.get(STEP_VARIABLE) or AUTO
    if wanted not in CHOICES:
        name = "step" if step else STEP_VARIABLE
        raise InputError(f"{name} is {wanted!r}; expected {', '.join(CHOICES)}.")
    return wanted


def wanted_instructions() -> str | None:
    """The instruction set that the variable CHATTTS_INSTRUCTIONS names; None: the fastest."""
    return os.environ.get(INSTRUCTIONS_VARIABLE) or None
