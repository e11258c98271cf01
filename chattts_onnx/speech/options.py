"""Options that generate, say, stream and the engine share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ..decoding.params import GenerationParams
from ..errors import InputError
from ..text import TextOptions, TextTokenizer, style_prompt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """A recording to clone: its ``transcript`` and ``codes`` [T, num_vq] (``encode_audio``)."""

    transcript: str
    codes: Ints


class Options(TypedDict, total=False):
    """Keyword options common to generate, say and stream.

    ``params`` and ``refine_params`` default to the bundle's.  ``seed`` None draws one; for several
    texts text i takes ``seed + i``.  ``speed`` 0 to 9 puts ``[speed_n]`` before the text.
    ``skip_refine`` False lets the model first add ``[uv_break]``, ``[laugh]`` and the like,
    directed by ``refine_prompt`` such as ``[oral_2][laugh_0][break_6]`` or by its named parts:
    ``oral`` 0 to 9 (how colloquial), ``laugh`` 0 to 2, ``break_`` 0 to 7 (how many pauses); naming
    one switches the pass on.  ``sample`` clones a voice.  ``normalize`` False leaves the text as
    it is, ``text_options`` say how it is read.  ``piece_tokens`` is the length in tokens at which
    :func:`say` and :func:`stream` cut a long text.
    """

    params: GenerationParams | None
    seed: int | None
    speed: int | None
    skip_refine: bool
    refine_prompt: str
    refine_params: GenerationParams | None
    sample: Sample | None
    oral: int | None
    laugh: int | None
    break_: int | None
    normalize: bool
    text_options: TextOptions | None
    piece_tokens: int | None


def refine_instruction(tokenizer: TextTokenizer, options: Options) -> str | None:
    """What directs the refine pass, None where it is left out."""
    levels = {"oral": options.get("oral"), "laugh": options.get("laugh")}
    levels["break"] = options.get("break_")
    named = style_prompt(tokenizer, levels)
    if options.get("skip_refine", not named):
        if named:
            raise InputError(f"{named} needs the refine pass; leave skip_refine out.")
        return None
    return options.get("refine_prompt", "") + named
