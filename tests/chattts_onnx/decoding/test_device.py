"""Steps that sample on the device, run on the CPU provider over the tiny bundle."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest

from chattts_onnx import Bundle, GenerationError
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.device import CudaDecoder, DecoderPool, power_of_two
from chattts_onnx.decoding.device_step import open_step_session
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.takes import Watch
from chattts_onnx.speech.requests import refine_request
from chattts_onnx.text import Prompt
from tests.chattts_onnx.decoding.requested import TEXTS, alone
from tests.chattts_onnx.decoding.requested import request as make_request


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ort.InferenceSession:
    graph = bundle.manifest.graph("gpt")
    return open_step_session(bundle.path / graph.file, bundle.model, bundle.config)


@pytest.fixture(params=[False, True], ids=["plain", "replay"])
def pool(
    request: pytest.FixtureRequest, bundle: Bundle, session: ort.InferenceSession
) -> DecoderPool:
    """With ``replay`` everything happens as for CUDA graphs, but for the capture itself."""
    return DecoderPool(session, bundle.model, ("cpu", 0), cuda_graph=request.param)


def assert_same(found: Request, expected: Request) -> None:
    np.testing.assert_array_equal(found.result().codes, expected.result().codes)
    np.testing.assert_allclose(found.result().hidden, expected.result().hidden, atol=2e-5)
    assert found.result().finished == expected.result().finished


def test_codes_are_those_of_the_host_while_requests_join_and_leave(
    bundle: Bundle, pool: DecoderPool
) -> None:
    settings = [
        {
            "temperature": 0.5 + 0.1 * i,
            "min_new_tokens": 3 * i,
            "top_k": 5 * i,
            "repetition_penalty": 1 + 0.2 * i,
        }
        for i in range(len(TEXTS))
    ]
    decoder = pool.decoder(3, 64)
    assert isinstance(decoder, CudaDecoder)
    batch = Batch(decoder)
    requests = [
        make_request(bundle, text, i, **changes)
        for i, (text, changes) in enumerate(zip(TEXTS, settings, strict=True))
    ]
    batch.run(requests)
    for i, request in enumerate(requests):
        assert_same(request, alone(bundle, TEXTS[i], i, **settings[i]))
    assert len({len(r.result()) for r in requests}) > 2


def test_logits_stay_on_the_device_while_only_codes_are_drawn(
    bundle: Bundle, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = pool.decoder(1, 64)
    batch = Batch(decoder)
    batch.add([make_request(bundle, "hello", 1, min_new_tokens=8, max_new_tokens=8)])
    batch.step()  # holds the prefill, whose logits the host samples
    monkeypatch.setattr(decoder, "step", lambda count: pytest.fail("logits came to the host"))
    batch.run()
    monkeypatch.undo()


def test_the_history_wraps_around_its_window(bundle: Bundle, pool: DecoderPool) -> None:
    """More steps than the penalty looks back, a strong penalty, and a late reload of all state."""
    changes = {"min_new_tokens": 60, "max_new_tokens": 60, "repetition_penalty": 3.0}
    batch = Batch(pool.decoder(2, 128))
    first = make_request(bundle, "hello", 5, **changes)
    batch.add([first])
    for _ in range(21):
        batch.step()
    batch.run([make_request(bundle, "one", 6, max_new_tokens=3, min_new_tokens=3)])
    assert_same(first, alone(bundle, "hello", 5, **changes))


def test_refine_and_code_passes_share_a_batch(bundle: Bundle, pool: DecoderPool) -> None:
    end = bundle.manifest.tokens["[Ebreak]"]
    params = bundle.default_params("refine").but(max_new_tokens=12, min_new_tokens=6)
    batch = Batch(pool.decoder(2, 64), bundle.text_logits, end)
    refine = refine_request(bundle, "hello world", params=params, seed=3)
    code = make_request(bundle, "one two", 4, min_new_tokens=25)
    batch.run([refine, code])
    assert len(refine.result()) >= 6
    assert_same(code, alone(bundle, "one two", 4, min_new_tokens=25))


def test_memory_is_used_again_and_holds_nothing_of_the_last_request(
    bundle: Bundle, pool: DecoderPool
) -> None:
    decoder = pool.decoder(1, 40)
    batch = Batch(decoder)
    batch.run([make_request(bundle, "good morning", 1, min_new_tokens=12)])
    cache = decoder.cache
    assert cache.max_length == 256
    del batch, decoder
    gc.collect()
    again = pool.decoder(1, 64)
    assert again.cache is cache
    other = pool.decoder(1, 64)
    assert other.cache is not cache
    batch = Batch(again)
    request = make_request(bundle, "one", 2, min_new_tokens=12)
    batch.run([request])
    assert_same(request, alone(bundle, "one", 2, min_new_tokens=12))


def test_a_step_in_another_thread_is_captured_there_anew(
    bundle: Bundle, session: ort.InferenceSession
) -> None:
    """ONNX Runtime captures by thread, and the run that captures is repeated inside it."""
    decoder = DecoderPool(session, bundle.model, ("cpu", 0), cuda_graph=True).decoder(1, 64)
    batch = Batch(decoder)
    request = make_request(bundle, "hello world", 3, min_new_tokens=20)
    batch.add([request])
    for _ in range(6):
        batch.step()
    assert decoder._state.is_captured(1, 30)
    seen: list[bool] = []

    def go_on() -> None:
        seen.append(decoder._state.is_captured(1, 30))
        batch.run()

    thread = threading.Thread(target=go_on)
    thread.start()
    thread.join()
    assert seen == [False]
    assert_same(request, alone(bundle, "hello world", 3, min_new_tokens=20))


def test_cancelled_slots_stay_idle(bundle: Bundle, pool: DecoderPool) -> None:
    batch = Batch(pool.decoder(3, 64))
    requests = [
        make_request(bundle, text, i, min_new_tokens=20) for i, text in enumerate(TEXTS[:3])
    ]
    batch.add(requests)
    for _ in range(4):
        batch.step()
    requests[0].cancel()
    batch.run()
    for i in (1, 2):
        assert_same(requests[i], alone(bundle, TEXTS[i], i, min_new_tokens=20))


def test_logits_that_are_not_finite_end_the_request(bundle: Bundle, pool: DecoderPool) -> None:
    """NaN in one row's cache; the other row goes on."""
    decoder = pool.decoder(2, 64)
    batch = Batch(decoder)
    damaged, sound = (make_request(bundle, TEXTS[i], i, min_new_tokens=10) for i in (0, 1))
    batch.add([damaged, sound])
    batch.step()
    key, _ = decoder.cache.layer(0)
    key[0] = np.nan
    batch.run()
    with pytest.raises(GenerationError, match="NaN"):
        damaged.result()
    assert_same(sound, alone(bundle, TEXTS[1], 1, min_new_tokens=10))


def test_a_full_cache_is_named(bundle: Bundle, pool: DecoderPool) -> None:
    decoder = pool.decoder(1, 20)
    ids = np.zeros((5, bundle.model.num_vq), dtype=np.int64)
    prompt = Prompt(ids, np.ones(5, dtype=np.bool_))
    request = Request(prompt, bundle.default_params(), seed=1)
    request.begin(bundle.model.hidden_size, bundle.model.num_vq)
    decoder.lengths[0] = decoder.cache.max_length
    with pytest.raises(GenerationError, match="256 tokens"):
        decoder.draw([request], Batch(decoder)._settings)


def test_a_bundle_on_a_gpu_takes_these_decoders(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which path is taken follows from the configuration alone."""
    opened = Bundle(bundle.path, bundle.manifest, bundle.config)
    assert type(opened.decoder(1, 8)) is not CudaDecoder
    monkeypatch.setattr(type(bundle.config), "device", "cpu-as-gpu")
    monkeypatch.setattr("chattts_onnx.model.DecoderPool", lambda *parts: parts)
    session, model, place, graphs = opened._pool
    assert isinstance(session, ort.InferenceSession)
    assert (model, place, graphs) == (bundle.model, ("cpu-as-gpu", 0), False)
    config = replace(bundle.config, device_sampling=False)
    monkeypatch.setattr("chattts_onnx.model.Decoder", lambda *parts: "plain")
    assert Bundle(bundle.path, bundle.manifest, config).decoder(1, 8) == "plain"


def test_lengths_are_rounded_up_within_the_model() -> None:
    assert [power_of_two(n, 4096) for n in (1, 256, 257, 4000)] == [256, 256, 512, 4096]
    assert power_of_two(3000, 3500) == 3500


def test_a_take_is_drawn_again_as_on_the_host(bundle: Bundle, pool: DecoderPool) -> None:
    """The device has to forget what it holds of the take that was refused."""

    def watched(seed: int) -> Request:
        request = make_request(bundle, TEXTS[1], seed, min_new_tokens=20, takes=2)
        return replace(request, watch=Watch(least=30 if seed == 1 else 0, most=99))

    found, expected = [watched(seed) for seed in (1, 2)], [watched(seed) for seed in (1, 2)]
    batch = Batch(pool.decoder(2, 64))
    batch.run(found)
    for request in expected:
        Batch(bundle.decoder(1, 64)).run([request])
    for one, other in zip(found, expected, strict=True):
        assert one.refused == other.refused
        assert_same(one, other)
    assert found[0].refused or len(found[0].result()) == 30
