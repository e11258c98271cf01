"""Text to speech with an opened bundle: the refine pass, the code pass, and audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from ..audio.wav import join
from ..decoding.batch import Batch
from ..decoding.params import GenerationParams
from ..decoding.request import Generation, Pass, Request
from ..errors import GenerationError, InputError
from ..text import Prompt, bundle_reading, code_prompt, normalize, refine_prompt
from ..text.cleanup import remove_structure
from ..voices.vectors import Voice
from .options import Options as Options
from .options import Sample, refine_instruction
from .windows import AudioStream, StreamOptions, decode_in_windows

if TYPE_CHECKING:
    from ..bundle import Bundle

Floats = npt.NDArray[np.float32]
OnStep = Callable[[Request], object]

# More rows than this at once gain little on a CPU and cost cache memory.
MAX_BATCH = 8


def make_prompt(
    bundle: Bundle, text: str, speed: int | None, speaker: bool, sample: Sample | None = None
) -> Prompt:
    """The code pass's prompt of one text."""
    return code_prompt(
        bundle.tokenizer,
        text,
        bundle.model.num_vq,
        speaker=speaker,
        speed=speed,
        sample_text=sample.transcript if sample else "",
        sample_codes=sample.codes if sample else None,
    )


def new_batch(bundle: Bundle, slots: int, max_length: int, row_multiple: int = 1) -> Batch:
    """A :class:`Batch` over the bundle's GPT, refine passes included where it has a text head."""
    text_head = bundle.unchecked_text_logits if "text_head" in bundle.manifest.graphs else None
    end = bundle.manifest.tokens.get("[Ebreak]")
    return Batch(bundle.decoder(slots, max_length), text_head, end, row_multiple)


def make_request(
    bundle: Bundle,
    prompt: Prompt,
    params: GenerationParams,
    *,
    speaker: Floats | None = None,
    seed: int | None = None,
    kind: Pass = Pass.CODE,
    on_step: OnStep | None = None,
) -> Request:
    """A request whose ``max_new_tokens`` is cut to what the model's positions leave.

    Raises :class:`InputError` when the prompt alone takes them all.
    """
    room = bundle.model.max_position_embeddings - len(prompt) + 1
    if room <= params.min_new_tokens or room < 1:
        raise InputError(
            f"the prompt has {len(prompt)} tokens and at least {max(1, params.min_new_tokens)} are "
            f"to follow; the model has {bundle.model.max_position_embeddings} positions. "
            "Split the text."
        )
    limited = params.but(max_new_tokens=min(params.max_new_tokens, room))
    return Request(prompt, limited, speaker, seed, kind, on_step)


def refine_request(
    bundle: Bundle,
    text: str,
    instruction: str = "",
    params: GenerationParams | None = None,
    seed: int | None = None,
) -> Request:
    """A request of the refine pass, directed by ``instruction`` (``[oral_2][break_6]``)."""
    settings = params or bundle.default_params("refine")
    prompt = refine_prompt(bundle.tokenizer, text, bundle.model.num_vq, instruction=instruction)
    return make_request(bundle, prompt, settings, seed=seed, kind=Pass.REFINE)


def refined_text(bundle: Bundle, request: Request) -> str:
    """The text a finished refine pass gave, with its pauses and laughs.

    Raises :class:`GenerationError` when there is none, and the request's own error.
    """
    ids = request.result().codes[:, 0]
    decoded = bundle.tokenizer.decode(ids[ids < bundle.manifest.token("[break_0]")])
    refined = remove_structure(decoded).strip()
    if not refined:
        raise GenerationError("the refine pass gave no text; skip it or try another seed.")
    return refined


def plan(
    bundle: Bundle,
    text: str,
    voice: Voice | None,
    options: Options,
    on_step: OnStep | None = None,
) -> list[Callable[[Request | None], Request]]:
    """The passes of one text, each a function from the request before it to its own request.

    Raises :class:`InputError` or :class:`VoiceError` at once for what is wrong with the arguments.
    """
    if unknown := set(options) - set(Options.__annotations__):
        known = sorted(Options.__annotations__)
        raise InputError(f"unknown options {sorted(unknown)}; known: {known}.")
    speaker = bundle.speaker(voice)
    seed, sample = options.get("seed"), options.get("sample")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise InputError(f"seed is {seed!r}; expected a whole number of at least 0, or None.")
    params = options.get("params") or bundle.default_params("code")
    if options.get("normalize", True):
        reading = bundle_reading(bundle.manifest, options.get("text_options"))
        text = normalize(text, reading).text
    instruction = refine_instruction(bundle.tokenizer, options)

    def code(previous: Request | None) -> Request:
        words = text if previous is None else refined_text(bundle, previous)
        prompt = make_prompt(bundle, words, options.get("speed"), speaker is not None, sample)
        return make_request(bundle, prompt, params, speaker=speaker, seed=seed, on_step=on_step)

    if instruction is None:
        return [code]
    first = refine_request(bundle, text, instruction, options.get("refine_params"), seed)
    return [lambda _: first, code]


def generate(
    bundle: Bundle,
    text: str | Sequence[str],
    voice: Voice | None = None,
    on_step: OnStep | None = None,
    voices: Sequence[Voice | None] | None = None,
    **options: Unpack[Options],
) -> Generation | list[Generation]:
    """Codes and hidden states: one :class:`Generation` for a string, a list for a sequence.

    ``voice`` is anything :meth:`Bundle.speaker` takes, one for all texts; ``voices`` has one for
    each text instead.  ``on_step`` is called with the :class:`Request` after each step.  A text is
    one piece however long it is.  The first failing text's error is raised.
    """
    single = isinstance(text, str)
    texts = [text] if isinstance(text, str) else list(text)
    if not texts:
        raise InputError("there is no text; expected at least one.")
    if voices is not None and (voice is not None or len(voices) != len(texts)):
        raise InputError(
            f"{len(voices)} voices for {len(texts)} texts; expected one each, and no voice besides."
        )
    seed = options.get("seed")
    requests = []
    for position, item in enumerate(texts):
        own: Options = {**options, "seed": None if seed is None else seed + position}
        speaker = voices[position] if voices is not None else voice
        requests.append(_request(bundle, item, speaker, own, on_step))
    results = _run(bundle, requests)
    return results[0] if single else results


def say(
    bundle: Bundle,
    text: str,
    voice: Voice | None = None,
    on_step: OnStep | None = None,
    **options: Unpack[Options],
) -> Floats:
    """Speech float32 [samples] of one text, in pieces where it is long."""
    from .narrate import narrate

    return join(narrate(bundle, text, voice, on_step=on_step, **options))


def stream(
    bundle: Bundle,
    text: str,
    voice: Voice | None = None,
    stream: StreamOptions | None = None,
    on_step: OnStep | None = None,
    **options: Unpack[Options],
) -> Iterator[Floats]:
    """Speech as chunks float32 [samples] while it is generated; joined they equal :func:`say`."""
    from .narrate import narrate

    return narrate(
        bundle, text, voice, stream=stream or StreamOptions(), on_step=on_step, **options
    )


def speak(
    bundle: Bundle,
    texts: Sequence[str],
    voice: Voice | None,
    options: Options,
    on_step: OnStep | None,
) -> list[Floats]:
    """Speech of each text, generated together; text i takes ``seed + i``."""
    results = generate(bundle, list(texts), voice, on_step, **options)
    hidden = [result.hidden for result in results]  # type: ignore[union-attr]
    return [
        decode_in_windows(
            bundle.decode_hidden, bundle.model, states, name=partial("text {}".format, i)
        )
        for i, states in enumerate(hidden)
    ]


def speak_in_chunks(
    bundle: Bundle,
    text: str,
    voice: Voice | None,
    options: Options,
    stream: StreamOptions,
    on_step: OnStep | None,
) -> Iterator[Floats]:
    """Speech of one text as chunks while it is generated."""
    request = _request(bundle, text, voice, options, on_step)
    audio = AudioStream(bundle.decode_hidden, bundle.model, stream, lambda: request.name)
    yield from _chunks(bundle, request, audio)


def _chunks(bundle: Bundle, request: Request, audio: AudioStream) -> Iterator[Floats]:
    batch = new_batch(bundle, 1, _length(request))
    batch.add([request])
    while batch.busy:
        batch.step()
        if batch.busy and audio.ready(request.steps):
            yield from audio.push(request.hidden.view())
    yield from audio.finish(request.result().hidden)


def _request(
    bundle: Bundle, text: str, voice: Voice | None, options: Options, on_step: OnStep | None
) -> Request:
    """The code pass's request of one text, after its refine pass if it has one."""
    *before, last = plan(bundle, text, voice, options, on_step)
    previous: Request | None = None
    for stage in before:
        previous = stage(previous)
        _run(bundle, [previous])
    return last(previous)


def _run(bundle: Bundle, requests: Sequence[Request]) -> list[Generation]:
    batch = new_batch(bundle, min(len(requests), MAX_BATCH), max(map(_length, requests)))
    batch.add(requests)
    batch.run()
    return [request.result() for request in requests]


def _length(request: Request) -> int:
    return len(request.prompt) + request.params.max_new_tokens
