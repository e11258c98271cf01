"""The model repository on a real tritonserver, asked by the real client over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, StreamOptions, open_bundle
from pipeline.release.triton.config import SpeechModelConfig, TritonConfig, VocoderModelConfig
from pipeline.release.triton.repository import write_repository

triton = pytest.importorskip("tritonclient.grpc")

from tests.pipeline.release.triton.server import BINARY, Server, Stream, running  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    # One server for all of these.
    pytest.mark.xdist_group("tritonserver"),
    pytest.mark.skipif(not BINARY.exists(), reason="run triton_server/install.sh first"),
]
SLOTS, QUEUE = 4, 8
# More steps than any test waits for; cancelled every time.
ENDLESS = {"text": "hello world. " * 5_000, "min_new_tokens": 150, "max_new_tokens": 150}


@pytest.fixture(scope="module")
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder, threads=1)


@pytest.fixture(scope="module")
def server(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    config = TritonConfig(
        speech=SpeechModelConfig(
            slots=SLOTS, queue_size=QUEUE, threads=1, max_characters=len(ENDLESS["text"])
        ),
        # So long that eight requests meet on any machine; a full batch does not wait.
        vocoder=VocoderModelConfig(
            backend="python", threads=1, max_queue_delay_microseconds=3_000_000
        ),
    )
    write_repository(bundle.path, folder / "models", config)
    with running(folder / "models") as started:
        yield started


@pytest.fixture
def stream(server: Server) -> Iterator[Stream]:
    opened = Stream(server)
    yield opened
    opened.close(cancel=True)


@pytest.fixture
def streams(server: Server) -> Iterator[Callable[[], Stream]]:
    opened: list[Stream] = []

    def make() -> Stream:
        opened.append(Stream(server))
        return opened[-1]

    yield make
    for each in opened:
        each.close(cancel=True)


def test_the_warm_up_spoke_before_the_first_request(server: Server) -> None:
    assert server.outcomes("spoken") >= 1
    assert server.metric("nv_inference_request_success", model="chattts_vocoder") >= 1
    assert server.outcomes("failed") == 0


def test_the_chunks_joined_are_the_engines_speech(stream: Stream, bundle: Bundle) -> None:
    params = bundle.default_params().but(min_new_tokens=100, max_new_tokens=100)
    expected = bundle.say("hello world", "anna", seed=3, params=params)
    stream.send(text="hello world", voice="anna", seed=3, min_new_tokens=100, max_new_tokens=100)
    np.testing.assert_allclose(np.concatenate(list(stream.chunks())), expected, atol=1e-4)


def test_sound_comes_while_the_rest_is_made(server: Server, stream: Stream, bundle: Bundle) -> None:
    spoken = server.outcomes("spoken")
    stream.send(**ENDLESS)
    chunks = stream.chunks()
    first, second = next(chunks), next(chunks)
    assert len(first) >= StreamOptions().first_chunk * bundle.model.samples_per_step
    assert len(second) > 0
    assert server.outcomes("spoken") == spoken
    server.wait(lambda: server.metric("chattts_slots_running") > 0)


def test_every_parameter_reaches_the_engine(stream: Stream, bundle: Bundle) -> None:
    changes = {"temperature": 0.5, "top_p": 0.875, "top_k": 7, "repetition_penalty": 1.25}
    lengths = {"min_new_tokens": 20, "max_new_tokens": 30}
    params = bundle.default_params().but(**changes, **lengths)
    spoken = stream.say(text="good morning", voice="7", speed=5, seed=2, **changes, **lengths)
    expected = bundle.say("good morning", 7, speed=5, seed=2, params=params)
    np.testing.assert_allclose(spoken, expected, atol=1e-4)

    refined = stream.say(text="hello", seed=4, refine_prompt="[oral_0]", **lengths)
    plain = bundle.default_params().but(**lengths)
    expected = bundle.say(
        "hello", seed=4, skip_refine=False, refine_prompt="[oral_0]", params=plain
    )
    np.testing.assert_allclose(refined, expected, atol=1e-4)


def test_outputs_as_asked_for(stream: Stream, bundle: Bundle) -> None:
    audio = stream.say(text="hello", seed=1)
    stream.send(outputs=("pcm",), text="hello", seed=1)
    pcm = np.concatenate(list(stream.chunks("pcm")))
    assert pcm.dtype == np.int16
    np.testing.assert_allclose(pcm, np.rint(np.clip(audio, -1, 1) * 32767), atol=4)
    stream.send(outputs=("sample_rate",), text="hello", seed=1)
    assert {int(rate[0]) for rate in stream.chunks("sample_rate")} == {bundle.sample_rate}


def test_a_long_text_is_one_stream(stream: Stream, bundle: Bundle) -> None:
    text = "hello world one two three. " * 20
    expected = np.concatenate(list(bundle.stream(text, seed=5)))
    np.testing.assert_allclose(stream.say(text=text, seed=5), expected, atol=1e-4)


def test_eight_streams_at_once(
    server: Server, streams: Callable[[], Stream], bundle: Bundle
) -> None:
    texts = ["hello world", "good morning", "你好", "one two three"] * 2
    opened = [streams() for _ in texts]
    # All slots are taken by one that lasts, then some: the eight run beside it and in turns.
    lasting = streams()
    lasting.send(**ENDLESS)
    next(lasting.chunks())
    for i, (each, text) in enumerate(zip(opened, texts, strict=True)):
        each.send(text=text, voice=str(i), seed=i)
    for i, (each, text) in enumerate(zip(opened, texts, strict=True)):
        spoken = np.concatenate(list(each.chunks()))
        np.testing.assert_allclose(spoken, bundle.say(text, i, seed=i), atol=1e-4)
    # It was never stopped for them, nor they for it.
    next(lasting.chunks())


def test_a_cancelled_stream_gives_its_slot_back(
    server: Server, streams: Callable[[], Stream]
) -> None:
    cancelled = server.outcomes("cancelled")
    opened = [streams() for _ in range(SLOTS)]
    for each in opened:
        each.send(**ENDLESS)
        next(each.chunks())
    server.wait(lambda: server.metric("chattts_slots_running") > 0)
    for each in opened:
        each.close(cancel=True)
    server.wait(lambda: server.outcomes("cancelled") >= cancelled + SLOTS)
    server.wait(lambda: server.metric("chattts_slots_running") == 0)
    assert server.metric("chattts_requests_waiting") == 0
    assert len(streams().say(text="hello", seed=1)) > 0


def test_a_full_queue_refuses(server: Server, streams: Callable[[], Stream]) -> None:
    flood = streams()
    # A request may slip into a queue that has just made room; a flood always meets the limit.
    for seed in range(200):
        flood.send(text="hello", seed=seed, min_new_tokens=150, max_new_tokens=150)
    with pytest.raises(triton.InferenceServerException, match="8 requests are waiting already"):
        for _ in range(200):
            list(flood.chunks())
    flood.close(cancel=True)
    server.wait(lambda: server.metric("chattts_slots_running") == 0)
    assert server.outcomes("failed") == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"text": "   "}, "text is empty"),
        ({"text": b"\xff\xfe"}, "text is not UTF-8"),
        ({"text": "h" * (len(ENDLESS["text"]) + 1)}, "65001 characters; at most 65000"),
        ({"text": "hello", "speed": 11}, "speed"),
        ({"text": "hello", "seed": -1}, "seed is -1; expected"),
        ({"text": "hello", "temperature": 0.0}, "temperature is 0.0; expected"),
        ({"text": "hello", "min_new_tokens": 9, "max_new_tokens": 5}, "min_new_tokens is 9"),
        ({"text": "hello", "voice": "nobody"}, "no such voice; expected .*anna"),
        ({"text": "hello", "voice": "/etc/hostname"}, "no such voice"),
        ({"voice": "anna"}, "text is empty|text"),
    ],
)
def test_bad_input_is_refused_with_a_reason(
    stream: Stream, wrong: dict[str, object], message: str
) -> None:
    stream.send(**wrong)
    with pytest.raises(triton.InferenceServerException, match=message):
        list(stream.chunks())
    # and the stream goes on
    assert len(stream.say(text="hello", seed=1)) > 0


def test_the_vocoder_batches_mels_of_one_length(server: Server, bundle: Bundle) -> None:
    random = np.random.default_rng(0)
    mels = random.standard_normal((8, 1, bundle.model.num_mels, 20)).astype(np.float32)
    executions = server.metric("nv_inference_exec_count", model="chattts_vocoder")
    with server.client() as client:
        pending = []
        for mel in mels:
            given = triton.InferInput("mel", list(mel.shape), "FP32")
            given.set_data_from_numpy(mel)
            answers: list[object] = []
            done = lambda result, error, answers=answers: answers.append(error or result)  # noqa: E731
            client.async_infer("chattts_vocoder", [given], done)
            pending.append(answers)
        server.wait(lambda: all(pending))
    for mel, (result,) in zip(mels, pending, strict=True):
        np.testing.assert_allclose(result.as_numpy("waveform"), bundle.vocode(mel), atol=1e-5)
    assert server.metric("nv_inference_exec_count", model="chattts_vocoder") - executions < 8
