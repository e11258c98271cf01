"""Text to speech with an opened bundle: the refine pass, the code pass, and audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from ..decoding.batch import Batch
from ..decoding.params import GenerationParams
from ..decoding.request import Generation, Pass, Request
from ..decoding.takes import Watch
from ..errors import GenerationError, InputError
from ..model import Model
from ..text import (
    Prompt,
    TextOptions,
    bundle_reading,
    code_prompt,
    normalize,
    refine_prompt,
    style_prompt,
)
from ..text.cleanup import remove_structure
from ..text.core.language import Spoken, own_language
from ..voices.vectors import Voice
from .options import OPTIONS, SpeechOptions, check_options
from .takes import watch_over
from .windows import AudioStream, StreamOptions

Floats = npt.NDArray[np.float32]
OnStep = Callable[[Request], object]


@dataclass(frozen=True)
class Sample:
    """A recording to clone: its ``transcript`` and ``codes`` [T, num_vq] (``encode_audio``)."""

    transcript: str
    codes: npt.NDArray[np.int64]


class Options(SpeechOptions, total=False):
    """Keyword options of say, stream and generate: the shared ones and Python's own.

    ``params`` and ``refine_params`` default to the bundle's.  ``skip_refine`` False asks for the
    refine pass as ``refine`` does.  ``sample`` clones a voice.  ``text_options`` say how the text
    is read, with a lexicon.
    """

    params: GenerationParams | None
    refine_params: GenerationParams | None
    skip_refine: bool
    sample: Sample | None
    text_options: TextOptions | None


# More rows than this at once gain little on a CPU and cost cache memory.
MAX_BATCH = 8


def make_prompt(
    bundle: Model, text: str, speed: int | None, speaker: bool, sample: Sample | None = None
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


def new_batch(bundle: Model, slots: int, max_length: int, row_multiple: int = 1) -> Batch:
    """A :class:`Batch` over the bundle's GPT, refine passes included where it has a text head."""
    text_head = bundle.unchecked_text_logits if "text_head" in bundle.manifest.graphs else None
    end = bundle.manifest.tokens.get("[Ebreak]")
    return Batch(bundle.decoder(slots, max_length), text_head, end, row_multiple)


def make_request(
    bundle: Model,
    prompt: Prompt,
    params: GenerationParams,
    *,
    speaker: Floats | None = None,
    seed: int | None = None,
    kind: Pass = Pass.CODE,
    on_step: OnStep | None = None,
    watch: Watch | None = None,
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
    return Request(prompt, limited, speaker, seed, kind, on_step, watch)


def refine_request(
    bundle: Model,
    text: str,
    instruction: str = "",
    params: GenerationParams | None = None,
    seed: int | None = None,
) -> Request:
    """A request of the refine pass, directed by ``instruction`` (``[oral_2][break_6]``)."""
    settings = params or bundle.default_params("refine")
    prompt = refine_prompt(bundle.tokenizer, text, bundle.model.num_vq, instruction=instruction)
    return make_request(bundle, prompt, settings, seed=seed, kind=Pass.REFINE)


def refined_text(bundle: Model, request: Request) -> str:
    """The text a finished refine pass gave, with its pauses and laughs.

    Raises :class:`GenerationError` when there is none, and the request's own error.
    """
    ids = request.result().codes[:, 0]
    decoded = bundle.tokenizer.decode(ids[ids < bundle.manifest.token("[break_0]")])
    refined = remove_structure(decoded).strip()
    if not refined:
        raise GenerationError("the refine pass gave no text; skip it or try another seed.")
    return refined


@dataclass(frozen=True)
class Passes:
    """The passes of one text: its first request, and how those after it are made of the one before.

    ``rest`` may raise what :func:`refined_text` and :func:`make_request` do.
    """

    first: Request
    rest: tuple[Callable[[Request], Request], ...] = ()


def plan(
    bundle: Model,
    text: str,
    voice: Voice | None,
    options: Options,
    on_step: OnStep | None = None,
) -> Passes:
    """The passes of one text with options that :func:`check` has passed.

    Raises :class:`InputError` or :class:`VoiceError` for what is wrong with the arguments.
    """
    speaker = bundle.speaker(voice)
    seed, sample = options.get("seed"), options.get("sample")
    params = code_params(bundle, options)
    if options.get("normalize") is not False:
        text = normalize(text, reading(bundle, options, bundle.shelf.language(voice))).text
    instruction = refine_instruction(bundle, options)

    def code(words: str) -> Request:
        prompt = make_prompt(bundle, words, options.get("speed"), speaker is not None, sample)
        watch = watch_over(bundle, words, params)
        return make_request(
            bundle, prompt, params, speaker=speaker, seed=seed, on_step=on_step, watch=watch
        )

    if instruction is None:
        return Passes(code(text))
    first = refine_request(bundle, text, instruction, options.get("refine_params"), seed)
    return Passes(first, (lambda before: code(refined_text(bundle, before)),))


def check(options: Options) -> None:
    """:class:`InputError` naming an option that is unknown or out of its bounds."""
    check_options(options, Options.__annotations__)


def code_params(bundle: Model, options: Options) -> GenerationParams:
    """Settings of the code pass: ``params`` or the bundle's, and what options of their own say.

    ``max_new_tokens`` alone lowers ``min_new_tokens`` with it.
    """
    base = options.get("params") or bundle.default_params("code")
    changes = _named(GenerationParams, options)
    most = changes.get("max_new_tokens")
    if most is not None:
        changes.setdefault("min_new_tokens", min(base.min_new_tokens, most))
    return base.but(**changes)


def reading(bundle: Model, options: Options, voice: Spoken | None = None) -> TextOptions:
    """How the text is read; one without letters in the language of the voice, else the bundle's.

    ``voice`` is the voice's; that of a cloned one is its transcript's.
    """
    sample = options.get("sample")
    language = voice or (own_language(sample.transcript) if sample else None)
    return bundle_reading(bundle.manifest, text_options(options), language)


def text_options(options: Options) -> TextOptions:
    """How the text is read: ``text_options``, and what options of their own say."""
    return replace(options.get("text_options") or TextOptions(), **_named(TextOptions, options))


def _named(kind: type[GenerationParams | TextOptions], options: Options) -> dict[str, Any]:
    """The shared options that are fields of ``kind`` and were given."""
    names = {field.name for field in fields(kind)} & set(OPTIONS)
    return {n: value for n in names if (value := options.get(n)) is not None}


def refine_instruction(bundle: Model, options: Options) -> str | None:
    """What directs the refine pass, None where it is left out."""
    levels = {"oral": options.get("oral"), "laugh": options.get("laugh")}
    levels["break"] = options.get("break_")
    wanted = (options.get("refine_prompt") or "") + style_prompt(bundle.tokenizer, levels)
    skip = options.get("skip_refine")
    if skip and wanted:
        raise InputError(f"{wanted} needs the refine pass; leave skip_refine out.")
    on = wanted or options.get("refine") or skip is False
    return wanted if on and not skip else None


def generate(
    bundle: Model,
    texts: Sequence[str],
    voice: Voice | None = None,
    on_step: OnStep | None = None,
    voices: Sequence[Voice | None] | None = None,
    **options: Unpack[Options],
) -> list[Generation]:
    """Codes and hidden states of each text; see :meth:`.Bundle.generate`."""
    if not texts:
        raise InputError("there is no text; expected at least one.")
    if voices is not None and (voice is not None or len(voices) != len(texts)):
        raise InputError(
            f"{len(voices)} voices for {len(texts)} texts; expected one each, and no voice besides."
        )
    check(options)
    seed = options.get("seed")
    passes = []
    for position, item in enumerate(texts):
        own: Options = {**options, "seed": None if seed is None else seed + position}
        speaker = voices[position] if voices is not None else voice
        passes.append(plan(bundle, item, speaker, own, on_step))
    return run(bundle, passes)


def run(bundle: Model, texts: Sequence[Passes]) -> list[Generation]:
    """What each text's last pass gives; the code passes run together."""
    requests = [last_request(bundle, passes) for passes in texts]
    run_requests(bundle, requests)
    return [request.result() for request in requests]


def last_request(bundle: Model, passes: Passes) -> Request:
    """The request of the last pass, those before it run."""
    request = passes.first
    for following in passes.rest:
        run_requests(bundle, [request])
        request = following(request)
    return request


def stream_request(bundle: Model, request: Request, stream: StreamOptions) -> Iterator[Floats]:
    """Speech of one code pass as chunks while it runs."""
    audio = AudioStream(bundle.decode_hidden, bundle.model, stream, lambda: request.name)
    batch = new_batch(bundle, 1, _length(request))
    batch.add([request])
    while batch.busy:
        batch.step()
        while batch.busy and (chunk := audio.next(request)) is not None:
            yield chunk
    yield from audio.finish(request.result().hidden, len(request.refused))


def run_requests(bundle: Model, requests: Sequence[Request]) -> None:
    """Run requests together until all are done."""
    batch = new_batch(bundle, min(len(requests), MAX_BATCH), max(map(_length, requests)))
    batch.run(requests)


def _length(request: Request) -> int:
    return len(request.prompt) + request.params.max_new_tokens
