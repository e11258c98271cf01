"""The library's step beside ONNX Runtime's, beside float64, and beside itself."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import (
    Bundle,
    GenerationError,
    GenerationParams,
    InputError,
    NonFiniteError,
    open_bundle,
)
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.request import Request
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.native.decoder import NativeDecoder
from chattts_onnx.native.gpt import read_gpt
from chattts_onnx.native.graph import read_graph
from chattts_onnx.native.library import Draws, NativeModel, UnavailableError, instructions
from chattts_onnx.native.step import sizes_of
from chattts_onnx.speech.requests import new_batch
from chattts_onnx.text import Prompt
from tests.chattts_onnx.decoding.requested import row_settings
from tests.chattts_onnx.decoding.test_forced import random_inputs
from tests.chattts_onnx.native import fused_bundle, reference
from tests.chattts_onnx.tiny_bundle import POSITIONS

Fused = Callable[[str, bool], Path]
Floats = npt.NDArray[np.float32]
ALL = ("avx512-vnni", "avx-vnni", "avx2", "neon-dotprod", "scalar")


def native_model(
    library: ctypes.CDLL, folder: Path, threads: int = 1, wanted: str | None = None
) -> NativeModel:
    info = Manifest.load(folder).model
    gpt = read_gpt(read_graph(folder / "gpt.onnx", folder / "gpt.onnx.data"), info)
    return NativeModel(library, gpt, sizes_of(gpt, info), threads, wanted=wanted)


def available(library: ctypes.CDLL) -> list[str]:
    def there(name: str) -> bool:
        try:
            return instructions(library, name) == name
        except UnavailableError:
            return False

    return [name for name in ALL if there(name)]


def random_prompts(bundle: Bundle, lengths: list[int], seed: int) -> list[Prompt]:
    """Text and codes mixed, as a cloned voice's prompt has them."""
    model, random = bundle.model, np.random.default_rng(seed)
    prompts = []
    for length in lengths:
        text = np.arange(length) < random.integers(0, length + 1)
        ids = random.integers(0, model.num_audio_tokens, (length, model.num_vq))
        prompts.append(Prompt(ids, text))
    return prompts


def run(decoder: NativeDecoder, prompts: list[Prompt], codes: npt.NDArray[np.int64]) -> Floats:
    """Logits [rows, steps + 1, ...] of all prompts together, then of the same codes for each."""
    speakers = np.zeros((len(prompts), decoder.model.hidden_size), np.float32)
    scores = [decoder.prefill(0, prompts, speakers)[1].copy()]
    for code in codes:
        decoder.input_ids[: len(prompts), 0] = code
        scores.append(decoder.step(len(prompts))[1].copy())
    return np.stack(scores, axis=1)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("form", fused_bundle.FORMS)
def test_equals_onnx_runtime_over_a_float_cache(fused: Fused, form: str) -> None:
    folder = fused(form, False)
    theirs, ours = (open_bundle(folder, threads=1, step=step) for step in ("ort", "native"))
    inputs = random_inputs(theirs, [7, 3, 11], 9)
    inputs[0][:, -2] = theirs.manifest.token("[spk_emb]")
    expected, found = theirs.forced(*inputs)[1], ours.forced(*inputs)[1]
    # Integer products are equal; where nothing else rounds, so is all that follows from them.  16
    # bits tell norms apart that differ in their last digit: then one of 65,536 steps is another.
    tolerance = {"static": 0, "wide": 0, "two-bytes": 1e-3}.get(form, 5e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("form", fused_bundle.FORMS)
def test_is_close_to_onnx_runtime_over_an_int8_cache(fused: Fused, form: str) -> None:
    folder = fused(form, True)
    theirs, ours = (open_bundle(folder, threads=1, step=step) for step in ("ort", "native"))
    inputs = random_inputs(theirs, [7, 3, 11], 9)
    expected, found = theirs.forced(*inputs)[1], ours.forced(*inputs)[1]
    assert np.abs(found - expected).max() < 0.2 * expected.std()


@pytest.mark.parametrize("whole", [False, True])
def test_equals_float64(library: ctypes.CDLL, fused: Fused, whole: bool) -> None:
    folder = fused("float", whole)
    bundle = open_bundle(folder, threads=1, step="native")
    gpt = read_gpt(read_graph(folder / "gpt.onnx", folder / "gpt.onnx.data"), bundle.model)
    prompt = random_prompts(bundle, [POSITIONS], 3)[0]
    expected = reference.logits(gpt, prompt, bundle.model.num_key_value_heads)
    decoder = NativeDecoder(native_model(library, folder), bundle.model, 1, POSITIONS)
    speaker = np.zeros((1, bundle.model.hidden_size), np.float32)
    found = decoder.run(0, [prompt], speaker, np.arange(POSITIONS))[1].reshape(expected.shape)
    # A key that lies between two integers may be rounded either way.
    off = np.abs(found - expected).max(axis=1)
    assert np.median(off) < (1e-3 if whole else 1e-4)
    assert off.max() < (0.05 if whole else 1e-4)


@settings(max_examples=25)
@given(data=st.data())
def test_a_row_is_what_it_is_alone(library: ctypes.CDLL, fused: Fused, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(fused_bundle.FORMS))
    folder = fused(form, data.draw(st.booleans()))
    bundle = open_bundle(folder, threads=1, verify=False)
    lengths = data.draw(st.lists(st.integers(1, 150), min_size=1, max_size=17))
    prompts = random_prompts(bundle, lengths, data.draw(st.integers(0, 99)))
    codes = np.random.default_rng(1).integers(0, 24, (3, bundle.model.num_vq))
    names = available(library)
    together = run(
        NativeDecoder(
            native_model(library, folder, data.draw(st.integers(1, 4)), names[0]),
            bundle.model,
            len(prompts),
            160,
        ),
        prompts,
        codes,
    )
    row = data.draw(st.integers(0, len(prompts) - 1))
    # Another instruction set, too: every one of them sums in the same order.
    other = native_model(library, folder, 1, data.draw(st.sampled_from(names)))
    alone = run(NativeDecoder(other, bundle.model, 1, 155), prompts[row : row + 1], codes)
    np.testing.assert_array_equal(together[row], alone[0])


def test_a_prompt_in_pieces_is_the_prompt(library: ctypes.CDLL, fused: Fused) -> None:
    folder = fused("w4", True)
    bundle = open_bundle(folder, threads=1, step="native")
    prompt = random_prompts(bundle, [POSITIONS], 5)[0]
    native = native_model(library, folder, 2)
    speaker = np.zeros((1, bundle.model.hidden_size), np.float32)
    whole = NativeDecoder(native, bundle.model, 1, POSITIONS)
    expected = whole.run(0, [prompt], speaker, np.arange(POSITIONS))[1]
    steps = NativeDecoder(native, bundle.model, 1, POSITIONS)
    first = Prompt(prompt.ids[:1], prompt.text_mask[:1])
    found = [steps.prefill(0, [first], speaker)[1][0].copy()]
    for ids, is_text in zip(prompt.ids[1:], prompt.text_mask[1:], strict=True):
        steps.input_ids[0, 0], steps.text_mask[0, 0] = ids, is_text
        found.append(steps.step(1)[1][0].copy())
    np.testing.assert_array_equal(np.stack(found), expected)
    with pytest.raises(GenerationError, match=f"the {POSITIONS} tokens of its cache"):
        steps.step(1)


def test_moved_and_idle_slots(library: ctypes.CDLL, fused: Fused) -> None:
    for whole in (False, True):
        folder = fused("static", whole)
        bundle = open_bundle(folder, threads=1, step="native")
        native = native_model(library, folder, 2)
        prompts = random_prompts(bundle, [20, 33, 5], 7)
        codes = np.random.default_rng(2).integers(0, 24, (4, bundle.model.num_vq))
        decoder = NativeDecoder(native, bundle.model, 3, 64)
        run(decoder, prompts, codes[:2])
        decoder.release(0)
        decoder.release(1)
        decoder.move(2, 1)
        decoder.input_ids[1, 0] = codes[2]
        found = decoder.step(2)[1][1].copy()
        assert decoder.lengths.tolist() == [0, 8, 0]
        alone = run(NativeDecoder(native, bundle.model, 1, 64), prompts[2:], codes)
        np.testing.assert_array_equal(found, alone[0, 3])
        decoder.release(1)
        decoder.step(3)
        assert not decoder.lengths.any()


def test_nobody_spins_between_steps(library: ctypes.CDLL, fused: Fused) -> None:
    folder = fused("w8", True)
    bundle = open_bundle(folder, threads=1, step="native")
    decoder = NativeDecoder(native_model(library, folder, 4), bundle.model, 1, 64)
    run(decoder, random_prompts(bundle, [9], 1), np.zeros((2, bundle.model.num_vq), np.int64))
    before = time.process_time()
    time.sleep(0.3)
    # Four threads that spin would take 1.2 s on idle cores.
    assert time.process_time() - before < 0.15


def test_decoders_of_several_threads_take_turns(library: ctypes.CDLL, fused: Fused) -> None:
    folder = fused("static", True)
    bundle = open_bundle(folder, threads=1, step="native")
    native = native_model(library, folder, 2)
    codes = np.random.default_rng(4).integers(0, 24, (6, bundle.model.num_vq))
    prompts = [random_prompts(bundle, [n], n) for n in (40, 7, 21, 130)]

    def alone(prompt: list[Prompt]) -> Floats:
        return run(NativeDecoder(native, bundle.model, 1, 160), prompt, codes)

    expected = [alone(prompt) for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as pool:
        for found, wanted in zip(pool.map(alone, prompts), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_what_does_not_fit_is_refused(library: ctypes.CDLL, fused: Fused) -> None:
    folder = fused("w8", True)
    bundle = open_bundle(folder, threads=1, step="native")
    native = native_model(library, folder)
    for slots, length in ((0, 8), (1, 0), (2**20, 2**28), (2**40, 2**40)):
        with pytest.raises(InputError, match="KV cache of"):
            NativeDecoder(native, bundle.model, slots, length)
    decoder = NativeDecoder(native, bundle.model, 1, 16)
    speaker = np.zeros((1, bundle.model.hidden_size), np.float32)
    with pytest.raises(InputError, match="17 tokens, the cache holds 16"):
        decoder.prefill(0, random_prompts(bundle, [17], 0), speaker)
    for ids in (-1, bundle.model.num_text_tokens):
        prompt = Prompt(np.full((3, bundle.model.num_vq), ids), np.ones(3, np.bool_))
        with pytest.raises(GenerationError, match="an id that the model has not"):
            decoder.prefill(0, [prompt], speaker)
    with pytest.raises(GenerationError, match="a slot that the cache has not"):
        decoder.cache.move(0, 1, 3)
    with pytest.raises(UnavailableError, match="no sse9"):
        native_model(library, folder, 1, "sse9")


@pytest.mark.parametrize("form", fused_bundle.FORMS)
def test_what_is_not_finite_shows(fused: Fused, library: ctypes.CDLL, form: str) -> None:
    for whole in (False, True):
        bundle = open_bundle(fused(form, whole), threads=1, step="native")
        assert bundle.step.engine == "native"
        text, mask, codes, speaker = random_inputs(bundle, [6, 6], 4)
        # The last position: what an INT8 cache keeps of it shows no more in those after it.
        text[:, -1] = bundle.manifest.token("[spk_emb]")
        speaker[1, 3] = np.inf  # over an infinite length: NaN
        with pytest.raises(NonFiniteError, match="row 1"):
            bundle.forced(text, mask, codes, speaker)
        # and it stays where it arose
        speaker[0] = 0
        clean = bundle.forced(text[:1], mask[:1], codes[:1], speaker[:1])[1]
        assert np.isfinite(clean).all()


@pytest.mark.usefixtures("library")
def test_speech_and_batches_run_on_it(fused: Fused) -> None:
    bundle = open_bundle(fused("w4", True), threads=2, step="native")
    params = bundle.default_params("code").but(max_new_tokens=12, min_new_tokens=12)
    texts = ["hello world", "one two three", "good morning"]
    together = bundle.generate(texts, seed=3, params=params)
    for i, text in enumerate(texts):
        alone = bundle.generate(text, seed=3 + i, params=params)
        np.testing.assert_array_equal(together[i].codes, alone.codes)
    assert len(bundle.say("hello world", seed=1, params=params))
    assert "gpt" not in bundle._sessions


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(row_settings, st.integers(2, 9), st.integers(0, 99)), min_size=1, max_size=5
    ),
    form=st.sampled_from(fused_bundle.FORMS),
    slots=st.integers(1, 3),
)
def test_a_step_that_draws_gives_the_codes_of_a_step_and_a_draw(
    fused: Fused, rows: list[tuple[GenerationParams, int, int]], form: str, slots: int
) -> None:
    bundle = open_bundle(fused(form, True), threads=2, step="native", verify=False)

    def run_all(draws: bool) -> list[Request]:
        found = []
        for params, steps, seed in rows:
            few = params.but(max_new_tokens=steps, min_new_tokens=seed % 3)
            prompt = random_prompts(bundle, [3 + seed % 5], seed)[0]
            found.append(Request(prompt, few, bundle.speaker(seed), seed))
        batch = new_batch(bundle, slots, 32)
        if not draws:
            batch.decoder.draw = lambda *_: None  # type: ignore[method-assign]
        batch.run(found)
        return found

    for once, apart in zip(run_all(True), run_all(False), strict=True):
        assert type(once.error) is type(apart.error) and once.finished == apart.finished
        np.testing.assert_array_equal(once.codes.view(), apart.codes.view())
        np.testing.assert_array_equal(once.hidden.view(), apart.hidden.view())


def test_draws_of_other_outputs_are_refused(library: ctypes.CDLL, fused: Fused) -> None:
    bundle = open_bundle(fused("w4", True), threads=1, step="native")
    decoder = NativeDecoder(native_model(library, bundle.path), bundle.model, 2, 64)
    request = Request(random_prompts(bundle, [3], 1)[0], bundle.default_params("code"), None, 1)
    Batch(decoder).run([replace(request, params=request.params.but(max_new_tokens=2))])
    drawing = decoder._drawing
    assert drawing is not None
    for name in ("rows", "heads", "tokens"):
        draws = Draws.from_buffer_copy(drawing.draws)
        setattr(draws, name, getattr(draws, name) + 1)
        with pytest.raises(GenerationError, match="refuses draws of other outputs"):
            decoder._native.step(decoder.cache, drawing.positions, draws, drawing.results)


def test_a_row_that_is_not_finite_is_not_drawn(library: ctypes.CDLL, fused: Fused) -> None:
    folder = fused("float", False)
    bundle = open_bundle(folder, threads=1, step="native")
    gpt = read_gpt(read_graph(folder / "gpt.onnx", folder / "gpt.onnx.data"), bundle.model)
    spoiled = replace(gpt, code=replace(gpt.code, rows=np.full_like(gpt.code.rows, np.inf)))
    native = NativeModel(library, spoiled, sizes_of(spoiled, bundle.model), 1)
    prompt = Prompt(np.zeros((3, bundle.model.num_vq), np.int64), np.ones(3, np.bool_))
    params = bundle.default_params("code").but(min_new_tokens=4)
    request = Request(prompt, params, None, 1)
    Batch(NativeDecoder(native, bundle.model, 1, 4096)).run([request])
    assert request.steps == 1  # the prompt is text and has no part in it
    with pytest.raises(NonFiniteError, match=r"hidden.*step 1.*32 times NaN"):
        request.result()


def test_the_variable_names_the_instructions(
    fused: Fused, library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    del library
    monkeypatch.setenv("CHATTTS_INSTRUCTIONS", "scalar")
    assert "scalar" in open_bundle(fused("w8", True), threads=1, step="native").step.why
    monkeypatch.setenv("CHATTTS_INSTRUCTIONS", "sse9")
    assert "no sse9" in open_bundle(fused("w8", True), threads=1).step.why
    with pytest.raises(InputError, match="no sse9"):
        _ = open_bundle(fused("w8", True), threads=1, step="native").step
