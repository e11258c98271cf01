"""NaN and infinity are named where they come out of a graph, and fail one request alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from chattts_onnx import Bundle, Engine, NonFiniteError, StreamOptions, open_bundle
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.device import DecoderPool
from chattts_onnx.decoding.finite import describe, finite_rows, require_finite
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.speech.requests import make_prompt, make_request, new_batch, refine_request
from tests.chattts_onnx import tiny_bundle
from tests.chattts_onnx.tiny_bundle import HIDDEN, MODEL, WORDS

SOUND, POISONED = "one two three", "hello"


def plant(source: Path, folder: Path, graph: str, shape: tuple[int, ...], row: int = 0) -> Bundle:
    """A copy of a bundle in whose ``graph`` one row of the first weight of ``shape`` is NaN."""
    shutil.copytree(source, folder)
    model = onnx.load(folder / f"{graph}.onnx", load_external_data=False)
    entry = next(item for item in model.graph.initializer if tuple(item.dims) == shape)
    place = {item.key: item.value for item in entry.external_data}
    width = 4 * int(np.prod(shape[1:], dtype=int))
    with (folder / place["location"]).open("r+b") as stream:
        stream.seek(int(place.get("offset", 0)) + row * width)
        stream.write(np.full(width // 4, np.nan, "<f4").tobytes())
    Manifest.load(folder, verify=False).write(folder)
    return open_bundle(folder, threads=1)


@pytest.fixture(scope="session")
def poisoned(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose GPT turns one word into NaN and is sound for all others."""
    folder = tmp_path_factory.mktemp("poisoned") / "bundle"
    shape = (MODEL.num_text_tokens, HIDDEN)
    return plant(bundle_path, folder, "gpt", shape, WORDS.index(POISONED))


def test_what_is_not_finite_is_counted_and_placed() -> None:
    values = np.zeros((2, 3, 4), dtype=np.float32)
    require_finite(values, "g", "o", ("row", "step"))
    values[1, 2, 0], values[1, 2, 3] = np.nan, -np.inf
    assert finite_rows(values).tolist() == [True, False]
    assert describe(values) == "1 times NaN and 1 times infinity among 24 numbers"
    with pytest.raises(NonFiniteError, match="graph 'g', output 'o', step 2 of row 1: found 1"):
        require_finite(values, "g", "o", ("row", "step"))


@pytest.mark.parametrize(
    ("graph", "output", "shape", "call"),
    [
        ("text_head", "text_logits", (HIDDEN, MODEL.num_text_tokens), "text_logits"),
        ("decoder", "mel", (16,), "decode_hidden"),
        ("dvae_decode", "mel", (16,), "decode_codes"),
        ("vocos", "waveform", (16, 1, tiny_bundle.WINDOW), "vocode"),
    ],
)
def test_every_graph_is_named(
    bundle_path: Path, tmp_path: Path, graph: str, output: str, shape: tuple[int, ...], call: str
) -> None:
    bundle = plant(bundle_path, tmp_path / "bundle", graph, shape)
    inputs = {
        "text_logits": np.ones((2, HIDDEN)),
        "decode_hidden": np.ones((1, 3, HIDDEN)),
        "decode_codes": np.zeros((1, 3, MODEL.num_vq), dtype=np.int64),
        "vocode": np.zeros((1, MODEL.num_mels, 8)),
    }
    with pytest.raises(NonFiniteError) as caught:
        getattr(bundle, call)(inputs[call])
    assert (caught.value.graph, caught.value.output) == (graph, output)


def test_teacher_forcing_names_row_and_step(poisoned: Bundle) -> None:
    prompts = [make_prompt(poisoned, text, None, False).ids for text in (SOUND, POISONED)]
    ids = np.zeros((2, max(map(len, prompts)), MODEL.num_vq), dtype=np.int64)
    mask = np.zeros(ids.shape[:2], dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, -len(prompt) :], mask[row, -len(prompt) :] = prompt, 1
    with pytest.raises(NonFiniteError, match="'hidden', step 0 of row 1"):
        poisoned.forced(ids, mask, np.zeros((2, 3, MODEL.num_vq), dtype=np.int64))


def run(batch: Batch, bundle: Bundle, texts: list[str], steps: int = 8) -> list[object]:
    """Codes of each text, or the error that it ended with."""
    params = bundle.default_params().but(min_new_tokens=steps, max_new_tokens=steps)
    requests = [
        make_request(bundle, make_prompt(bundle, text, None, False), params, seed=5 + i)
        for i, text in enumerate(texts)
    ]
    batch.run(requests)
    return [request.error or request.result().codes.tolist() for request in requests]


@pytest.mark.parametrize("where", ["host", "device"])
def test_one_request_fails_and_its_neighbours_do_not(
    bundle: Bundle, poisoned: Bundle, where: str
) -> None:
    from chattts_onnx.decoding.device_step import open_step_session

    def batch(owner: Bundle) -> Batch:
        if where == "host":
            return new_batch(owner, 3, 64)
        path = owner.path / owner.manifest.graph("gpt").file
        session = open_step_session(path, owner.model, owner.config)
        return Batch(DecoderPool(session, owner.model, ("cpu", 0)).decoder(3, 64))

    first, error, last = run(batch(poisoned), poisoned, [SOUND, POISONED, SOUND])
    assert isinstance(error, NonFiniteError)
    assert error.place == ("step 0", "the code pass with seed 6")
    assert error.output == "hidden"
    assert [first, last] == run(batch(bundle), bundle, [SOUND, SOUND, SOUND])[::2]


def test_a_slot_is_clean_again_after_nan(bundle: Bundle, poisoned: Bundle) -> None:
    """What NaN left in a slot's cache is not seen by the request that gets the slot next."""
    batch = new_batch(poisoned, 1, 64)
    (error,) = run(batch, poisoned, [f"{POISONED} {POISONED} {POISONED} one two three four"])
    assert isinstance(error, NonFiniteError)
    key, value = batch.decoder.cache.layer(0)
    assert np.isnan(key).any()
    assert np.isnan(value).any()
    assert run(batch, poisoned, [SOUND]) == run(new_batch(bundle, 1, 64), bundle, [SOUND])


def test_the_refine_pass_names_its_head(bundle_path: Path, tmp_path: Path) -> None:
    shape = (HIDDEN, MODEL.num_text_tokens)
    bundle = plant(bundle_path, tmp_path / "bundle", "text_head", shape)
    request = refine_request(bundle, SOUND, seed=4)
    batch = new_batch(bundle, 1, 256)
    batch.run([request])
    with pytest.raises(NonFiniteError, match="'text_logits', step 0 of the refine pass with seed"):
        request.result()


def test_the_engine_fails_one_ticket(bundle: Bundle, poisoned: Bundle) -> None:
    options = {"params": bundle.default_params().but(min_new_tokens=8, max_new_tokens=8)}
    with Engine(poisoned, slots=3, max_length=64) as engine:
        tickets = [
            engine.submit(text, seed=i, **options)  # type: ignore[arg-type]
            for i, text in enumerate((SOUND, POISONED, SOUND))
        ]
        with pytest.raises(NonFiniteError, match="the code pass with seed 1"):
            tickets[1].result(60)
        for i in (0, 2):
            expected = bundle.generate(SOUND, seed=i, **options)
            np.testing.assert_array_equal(tickets[i].result(60).codes, expected.codes)


@pytest.mark.parametrize("how", ["say", "stream", "ticket"])
def test_audio_names_steps_and_request(bundle_path: Path, tmp_path: Path, how: str) -> None:
    bundle = plant(bundle_path, tmp_path / "bundle", "decoder", (16,))
    options = {"params": bundle.default_params().but(min_new_tokens=30, max_new_tokens=30)}

    def ticket() -> None:
        with Engine(bundle, slots=1, max_length=64) as engine:
            list(engine.submit(SOUND, seed=3, **options).chunks())  # type: ignore[arg-type]

    ways: dict[str, tuple[Callable[[], object], str]] = {
        "say": (lambda: bundle.say(SOUND, seed=3, **options), "steps 0 to 29 of text 0"),
        "stream": (
            lambda: list(bundle.stream(SOUND, stream=StreamOptions(), seed=3, **options)),
            "steps 0 to .* of the code pass with seed 3",
        ),
        "ticket": (ticket, "steps 0 to .* of the code pass with seed 3"),
    }
    call, place = ways[how]
    with pytest.raises(NonFiniteError, match=f"graph 'decoder', output 'mel', {place}"):
        call()


def test_the_first_number_that_is_not_finite_is_named() -> None:
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3] = values[2, 0, 0] = np.nan
    with pytest.raises(NonFiniteError) as caught:
        require_finite(values, "decoder", "mel", ("text", "step"))
    assert "step 2 of text 1" in str(caught.value) or "step 2, text 1" in str(caught.value)
