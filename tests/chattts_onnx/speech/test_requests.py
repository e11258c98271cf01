from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, Sample, StreamOptions


def test_say_is_the_whole_decode_of_what_generate_gives(bundle: Bundle) -> None:
    result = bundle.generate("hello world", voice=3, seed=1)
    audio = bundle.say("hello world", voice=3, seed=1)
    np.testing.assert_allclose(audio, bundle.decode_hidden(result.hidden[None])[0], atol=1e-4)
    assert audio.dtype == np.float32 and len(audio) == bundle.model.samples(len(result))


def test_stream_joined_equals_say(bundle: Bundle) -> None:
    params = bundle.default_params().but(min_new_tokens=60, max_new_tokens=60)
    options = StreamOptions(first_chunk=3, max_chunk=12)
    chunks = list(bundle.stream("hello", voice=1, seed=2, params=params, stream=options))
    audio = bundle.say("hello", voice=1, seed=2, params=params)
    np.testing.assert_allclose(np.concatenate(chunks), audio, atol=1e-4)
    assert len(chunks) > 3


def test_first_chunk_comes_before_the_end(bundle: Bundle) -> None:
    steps = 0

    def count(_: object) -> None:
        nonlocal steps
        steps += 1

    params = bundle.default_params().but(min_new_tokens=60, max_new_tokens=60)
    options = StreamOptions(first_chunk=3, max_chunk=12)
    chunks = bundle.stream("hello", seed=2, params=params, stream=options, on_step=count)
    first = next(iter(chunks))
    assert len(first) == 3 * bundle.model.samples_per_step
    assert steps == 3 + bundle.model.receptive_field.steps


def test_list_of_texts_gives_each_what_it_gives_alone(bundle: Bundle) -> None:
    texts = ["hello", "good morning world", "你好", "one two three"] * 3
    together = bundle.generate(texts, voice=5, seed=10)
    for i, text in enumerate(texts):
        single = bundle.generate(text, voice=5, seed=10 + i)
        np.testing.assert_array_equal(together[i].codes, single.codes)


def test_speaker_speed_and_sample_reach_the_prompt(bundle: Bundle) -> None:
    token = bundle.manifest.token
    plain = bundle.prepare("hello", speaker=False)
    assert plain.shape[1] == bundle.model.num_vq and plain.dtype == np.int64
    assert plain[:, 0].tolist()[:2] == [token("[Stts]"), token("[empty_spk]")]
    fast = bundle.prepare("hello", speed=5)[:, 0].tolist()
    assert fast[:3] == [token("[Stts]"), token("[spk_emb]"), token("[speed_5]")]
    assert fast[-1] == token("[Ptts]")
    voices = [bundle.generate("hello", voice=v, seed=0).hidden[0] for v in (None, 1, 2)]
    assert np.abs(voices[0] - voices[1]).max() > 1e-3 < np.abs(voices[1] - voices[2]).max()
    recording = np.sin(np.arange(1500, dtype=np.float32))[None]
    sample = Sample("good morning", bundle.encode_audio(recording)[0])
    cloned = bundle.generate("hello", seed=0, sample=sample).hidden[0]
    assert np.abs(cloned - voices[0]).max() > 1e-3


def test_refine_changes_the_text_spoken(bundle: Bundle) -> None:
    refine = bundle.default_params("refine").but(min_new_tokens=8, temperature=1.0)
    plain = bundle.generate("hello", seed=3)
    for seed in range(3, 20):
        refined = bundle.generate("hello", seed=seed, skip_refine=False, refine_params=refine)
        if refined.hidden.shape != plain.hidden.shape or (refined.hidden != plain.hidden).any():
            return
    raise AssertionError("the refine pass had no effect")


def test_wrong_arguments_are_named(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="text is empty"):
        bundle.say(" \n ")
    with pytest.raises(InputError, match=r"unknown options \['sede'\]"):
        bundle.say("hello", sede=3)
    with pytest.raises(InputError, match="speed is 7"):
        bundle.say("hello", speed=7)
    with pytest.raises(InputError, match="seed is -1"):
        bundle.say("hello", seed=-1)
    with pytest.raises(InputError, match="positions"):
        bundle.generate("hello " * 400)
    with pytest.raises(InputError, match="at least one"):
        bundle.generate([])


def test_codes_decode_by_the_dvae(bundle: Bundle) -> None:
    codes = np.zeros((2, 9, bundle.model.num_vq), dtype=np.int64)
    assert bundle.decode_codes(codes).shape == (2, bundle.model.samples(9))
    with pytest.raises(InputError, match="codes must lie"):
        bundle.decode_codes(codes + bundle.model.end_token)
    with pytest.raises(InputError, match="hidden has shape"):
        bundle.decode_hidden(np.zeros((1, 0, bundle.model.hidden_size)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": 7}, "params is int; expected GenerationParams"),
        ({"refine_params": {}}, "refine_params is dict"),
        ({"sample": "hello"}, "sample is str; expected Sample"),
        ({"text_options": {"erhua": True}}, "text_options is dict; expected TextOptions"),
    ],
)
def test_options_of_another_type_are_named(
    bundle: Bundle, options: dict[str, Any], message: str
) -> None:
    for speak in (bundle.say, bundle.generate, bundle.stream):
        with pytest.raises(InputError, match=message):
            speak("hello", **options)
    with pytest.raises(InputError, match="timings is int; expected Timings"):
        bundle.say("hello", timings=5)  # type: ignore[arg-type]
