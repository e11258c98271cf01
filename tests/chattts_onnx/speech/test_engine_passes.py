"""A listener hears the code pass only, whenever it comes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from chattts_onnx import Bundle, Engine, StreamOptions
from chattts_onnx.speech import requests as synthesis


def test_a_listener_between_the_passes_waits_for_the_second(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = bundle.default_params().but(min_new_tokens=30, max_new_tokens=40)
    # As long as a first chunk needs, so that its states could be taken for speech.
    refine = bundle.default_params("refine").but(min_new_tokens=30, max_new_tokens=40)
    options = {"params": params, "refine_params": refine, "skip_refine": False, "seed": 4}
    expected = bundle.say("hello", **options)

    between, go_on = threading.Event(), threading.Event()
    make_prompt = synthesis.make_prompt

    def slow(*arguments: Any) -> Any:
        between.set()
        assert go_on.wait(60)
        return make_prompt(*arguments)

    monkeypatch.setattr(synthesis, "make_prompt", slow)
    with Engine(bundle, slots=1) as engine, ThreadPoolExecutor(1) as pool:
        ticket = engine.submit("hello", **options)  # type: ignore[arg-type]
        assert between.wait(60)
        chunks = ticket.chunks(StreamOptions(first_chunk=2))
        first = pool.submit(next, chunks)
        threading.Event().wait(0.2)
        go_on.set()
        heard = np.concatenate([first.result(60), *chunks])
    np.testing.assert_allclose(heard, expected, atol=1e-4)
