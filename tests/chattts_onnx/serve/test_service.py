"""The service without a web framework: limits, cancellation, exchange of bundles, shutdown."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import open_bundle
from chattts_onnx.errors import (
    BundleError,
    InputError,
    OverloadedError,
    RequestCancelledError,
    SlowListenerError,
    StoppingError,
    TimeLimitError,
    TooLargeError,
    UnknownVariantError,
    VoiceError,
)
from chattts_onnx.serve.observer import Observer
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.service import SpeechService
from tests.chattts_onnx.serve.conftest import PATIENCE, STEPS, Gate, build_steady, until

Start = Callable[..., SpeechService]
HELLO = SpeechRequest("hello world", voice=1, seed=1)
LONG = SpeechRequest("hello world. " * 60, voice="anna", seed=1)


class Tally(Observer):
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.first: list[float] = []

    def first_audio(self, variant: str, seconds: float) -> None:
        self.first.append(seconds)

    def ended(self, variant: str, outcome: str, seconds: float, audio_seconds: float) -> None:
        self.outcomes.append(outcome)

    def refused(self, outcome: str) -> None:
        self.outcomes.append(outcome)


def hear(service: SpeechService, request: SpeechRequest) -> np.ndarray:
    return np.concatenate(list(service.submit(request)))  # type: ignore[arg-type]


def test_many_at_once_hear_what_each_hears_alone(start_service: Start, steady_path: Path) -> None:
    service = start_service()
    requests = [SpeechRequest("hello world", voice=i, seed=i) for i in range(8)]
    speeches = [service.submit(request) for request in requests]
    with service.variants.lend(None) as variant:
        for i, speech in enumerate(speeches):
            expected = variant.bundle.say("hello world", voice=i, seed=i)
            np.testing.assert_allclose(np.concatenate(list(speech)), expected, atol=1e-4)  # type: ignore[arg-type]
    until(lambda: service.active == 0 and service.load() == {"tiny": (0, 0)}, "all are done")


def test_a_long_text_is_spoken_in_pieces_as_narrate_does(start_service: Start) -> None:
    service = start_service()
    bundle = service.variants.find(None).bundle
    heard = hear(service, LONG)
    expected = bundle.say(LONG.text, voice="anna", seed=1)
    assert len(expected) > 2.5 * bundle.model.samples(STEPS)  # several pieces
    np.testing.assert_allclose(heard, expected, atol=1e-4)


def test_a_seed_that_was_drawn_repeats_the_request(start_service: Start) -> None:
    service = start_service()
    speech = service.submit(SpeechRequest("hello", voice=3))
    first = np.concatenate(list(speech))  # type: ignore[arg-type]
    again = hear(service, SpeechRequest("hello", voice=3, seed=speech.seed))
    np.testing.assert_allclose(first, again, atol=1e-4)


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (SpeechRequest(" "), InputError, "text is empty"),
        (SpeechRequest("x" * 51), TooLargeError, "51 characters; this server takes 50"),
        (SpeechRequest("hello", variant="none"), UnknownVariantError, "this server has tiny"),
        (SpeechRequest("hello", voice="bob"), VoiceError, "a name \\(anna\\)"),
        (SpeechRequest("hello", voice="/etc/passwd"), VoiceError, "no such voice"),
        (SpeechRequest("hello", voice="9" * 5000), VoiceError, "whole number"),
        (SpeechRequest("hello", voice=-1), VoiceError, "whole number"),
        (SpeechRequest("hello", seed=-1), InputError, "seed is -1"),
        (SpeechRequest("hello", speed=12), InputError, "speed is 12"),
        (SpeechRequest("hello", temperature=0), InputError, "temperature is 0"),
        (SpeechRequest("hello", max_new_tokens=99_999), InputError, "at most 2048"),
        (SpeechRequest(" \n"), InputError, "text is empty"),
    ],
)
def test_what_is_wrong_is_raised(
    start_service: Start, request_: SpeechRequest, error: type[Exception], message: str
) -> None:
    service = start_service(max_chars=50)
    with pytest.raises(error, match=message):
        hear(service, request_)
    until(lambda: service.active == 0, "nothing is under way")


def test_a_file_is_no_voice(start_service: Start, steady_path: Path, tmp_path: Path) -> None:
    with pytest.raises(VoiceError):
        hear(start_service(), SpeechRequest("hello", voice=str(steady_path / "voices/anna.npy")))


def test_overload_is_refused_and_leaves_nothing_behind(start_service: Start) -> None:
    service = start_service(slots=1, queue=2)
    service.observer = tally = Tally()
    gate = Gate(service)
    admitted = [service.submit(HELLO) for _ in range(3)]
    threads = threading.active_count()
    for _ in range(500):
        with pytest.raises(OverloadedError, match="3 requests are under way") as refusal:
            service.submit(HELLO)
        assert 1 <= refusal.value.retry_after <= 60
    assert service.active == 3 and threading.active_count() <= threads
    gate.open()
    for speech in admitted:
        assert len(np.concatenate(list(speech))) > 0  # type: ignore[arg-type]
    until(lambda: service.active == 0, "all are done")
    hear(service, HELLO)
    until(lambda: len(tally.outcomes) == 504, "every request is counted")
    assert sorted(set(tally.outcomes)) == ["ok", "overload"]


def test_a_cancelled_request_leaves_its_slot_at_the_next_step(start_service: Start) -> None:
    service = start_service(slots=2, first_chunk=1)
    gate = Gate(service)
    speech, other = service.submit(HELLO), service.submit(HELLO)
    until(lambda: sum(service.load()["tiny"]) == 2, "both are submitted")
    gate.allow(3)
    assert service.load() == {"tiny": (2, 0)}
    third = service.submit(HELLO)
    until(lambda: service.load() == {"tiny": (2, 1)}, "the third waits")
    speech.cancel()
    gate.allow(1)
    # One step later it is gone; the third, which came during that step, runs from the next on.
    assert service.load() == {"tiny": (1, 1)}
    gate.allow(1)
    assert service.load() == {"tiny": (2, 0)}
    gate.open()
    with pytest.raises(RequestCancelledError):
        list(speech)
    assert len(list(other)) > 0 and len(list(third)) > 0


def test_a_request_that_waits_can_be_cancelled(start_service: Start) -> None:
    service = start_service(slots=1)
    gate = Gate(service)
    first = service.submit(HELLO)
    until(lambda: sum(service.load()["tiny"]) == 1, "it is submitted")
    second = service.submit(HELLO)
    until(lambda: sum(service.load()["tiny"]) == 2, "both are submitted")
    second.cancel()
    gate.open()
    assert len(list(first)) > 0
    until(lambda: service.active == 0, "nothing is left")


def test_the_time_limit_ends_a_request(start_service: Start) -> None:
    service = start_service(request_seconds=0.05)
    service.observer = tally = Tally()
    gate = Gate(service)
    with pytest.raises(TimeLimitError, match=r"longer than 0\.05 s"):
        hear(service, HELLO)
    gate.open()
    until(lambda: service.active == 0 and service.load() == {"tiny": (0, 0)}, "the slot is free")
    assert tally.outcomes == ["timeout"]


def test_a_slow_listener_holds_up_nobody_and_a_bounded_buffer(start_service: Start) -> None:
    service = start_service(buffer_seconds=0.3, stall_seconds=PATIENCE, slots=2)
    slow = service.submit(LONG)
    until(lambda: slow.buffer.held >= 0.3, "its buffer is full")
    # Others go on, though it does not listen; what is held for it does not grow.
    most = 0.0
    for _ in range(5):
        assert len(hear(service, HELLO)) > 0
        most = max(most, slow.buffer.held)
    chunk = service.settings.max_chunk * 128 / 8000
    assert most <= 0.3 + chunk + 1.0  # one chunk or pause more than the limit
    # At most the piece it is in was generated, so it holds no slot either.
    until(lambda: service.load() == {"tiny": (0, 0)}, "no slot is held")
    expected = service.variants.find(None).bundle.say(LONG.text, voice="anna", seed=1)
    np.testing.assert_allclose(np.concatenate(list(slow)), expected, atol=1e-4)  # type: ignore[arg-type]


def test_a_listener_who_never_comes_is_given_up(start_service: Start) -> None:
    service = start_service(buffer_seconds=0.1, stall_seconds=0.05)
    speech = service.submit(LONG)
    until(lambda: service.active == 0, "it was given up")
    with pytest.raises(SlowListenerError):
        list(speech)


def test_a_failing_engine_is_told_and_the_next_request_works(start_service: Start) -> None:
    service = start_service()
    service.observer = tally = Tally()
    decoder = service.variants.find(None).engine._batch.decoder
    step, decoder.step = decoder.step, lambda count: (_ for _ in ()).throw(RuntimeError("memory"))  # type: ignore[method-assign,assignment]
    with pytest.raises(Exception, match="memory"):
        hear(service, HELLO)
    decoder.step = step  # type: ignore[method-assign]
    assert len(hear(service, HELLO)) > 0
    until(lambda: tally.outcomes == ["failed", "ok"], "both are counted")


def point(link: Path, new: Path) -> None:
    """The documented way: a link to the new folder, after which the old one may go."""
    old = link.resolve()
    (link.parent / "next").symlink_to(new)
    (link.parent / "next").replace(link)
    shutil.rmtree(old)


def rename(link: Path, new: Path) -> None:
    """The other one: each file of the new folder renamed into the place of the old one."""
    for path in sorted(new.rglob("*")):
        if path.is_file():
            path.replace(link / path.relative_to(new))


@pytest.mark.parametrize("replace", [point, rename])
def test_a_bundle_is_exchanged_under_requests(
    start_service: Start, tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    link = tmp_path / "current"
    old, new = build_steady(tmp_path / "old"), build_steady(tmp_path / "new", steps=30)
    link.symlink_to(old)
    service = start_service(bundles={"tiny": link}, slots=2, queue=8, buffer_seconds=60.0)
    gate = Gate(service)
    engine = gate.engine
    before = [service.submit(HELLO) for _ in range(4)]
    until(lambda: sum(service.load()["tiny"]) == 4, "all are submitted")
    gate.allow(2)
    replace(link, new)
    assert service.variants.changed() == ["tiny"]
    revisions = service.reload()
    assert service.variants.changed() == [] and revisions["tiny"] != ""
    # New requests get the new bundle at once, while the old ones stand still.
    assert len(hear(service, HELLO)) == (2 * 30 - 1) * 64
    assert engine._worker.is_alive()
    gate.open()
    for speech in before:
        assert len(np.concatenate(list(speech))) == (2 * STEPS - 1) * 64  # type: ignore[arg-type]
    until(lambda: not engine._worker.is_alive(), "the old engine is closed")


def test_a_damaged_bundle_does_not_replace_a_good_one(start_service: Start, tmp_path: Path) -> None:
    folder = build_steady(tmp_path / "one")
    service = start_service(bundles={"tiny": folder}, no_verify=False)
    revision = service.variants.find(None).revision
    data = folder / "gpt.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(BundleError):
        service.reload("tiny")
    assert service.variants.find(None).revision == revision
    assert len(hear(service, HELLO)) > 0
    with pytest.raises(UnknownVariantError):
        service.reload("other")


def test_a_watched_folder_is_exchanged_by_itself(start_service: Start, tmp_path: Path) -> None:
    folder = build_steady(tmp_path / "one")
    service = start_service(bundles={"tiny": folder}, watch_seconds=0.01)
    first = service.variants.find(None).revision
    other = build_steady(tmp_path / "two", note="another")
    (other / "manifest.json").replace(folder / "manifest.json")
    until(lambda: service.variants.find(None).revision != first, "it was exchanged")
    assert len(hear(service, HELLO)) > 0


def test_variants_share_one_queue_limit(start_service: Start, steady_path: Path) -> None:
    service = start_service(bundles={"a": steady_path, "b": steady_path}, slots=1, queue=1)
    gates = [Gate(service, name) for name in ("a", "b")]
    speeches = [service.submit(SpeechRequest("hello", variant=name)) for name in ("a", "b")]
    for name in ("a", "b"):
        with pytest.raises(OverloadedError):
            service.submit(SpeechRequest("hello", variant=name))
    for gate in gates:
        gate.open()
    assert [speech.variant for speech in speeches] == ["a", "b"]
    assert all(len(list(speech)) > 0 for speech in speeches)


def test_closing_lets_requests_finish(start_service: Start) -> None:
    service = start_service()
    gate = Gate(service)
    speech = service.submit(HELLO)
    service.stop()
    assert not service.ready
    with pytest.raises(StoppingError):
        service.submit(HELLO)
    closing = threading.Thread(target=service.close)
    closing.start()
    gate.open()
    assert len(np.concatenate(list(speech))) == (2 * STEPS - 1) * 64  # type: ignore[arg-type]
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_closing_cancels_what_is_not_done_by_the_deadline(start_service: Start) -> None:
    service = start_service(drain_seconds=0.05)
    gate = Gate(service)
    speech = service.submit(HELLO)
    service.stop()
    with pytest.raises(StoppingError):
        list(speech)
    gate.open()
    service.close()
    assert service.active == 0


def test_naive_speaks_one_after_the_other_and_whole(start_service: Start) -> None:
    service = start_service(naive=True)
    speeches = [service.submit(HELLO) for _ in range(3)]
    chunks = [list(speech) for speech in speeches]
    assert [len(heard) for heard in chunks] == [1, 1, 1]
    assert service.settings.limit == 1 + service.settings.queue


def test_the_core_needs_no_web_framework(tmp_path: Path) -> None:
    import subprocess
    import sys

    for name in ("fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client", "multipart"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('blocked by the test')")
    code = "import chattts_onnx.serve.service, chattts_onnx.serve.jobs, chattts_onnx.client"
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": ""},
        check=True,
        timeout=120,
    )


def test_two_opened_bundles_share_no_more_threads_than_asked(steady_path: Path) -> None:
    bundle = open_bundle(steady_path, threads=2, audio_threads=1)
    assert bundle.config.for_graph("gpt").threads == 2
    assert {bundle.config.for_graph(g).threads for g in ("decoder", "vocos", "dvae_encode")} == {1}
    assert bundle.decode_hidden(np.zeros((1, 5, 32), np.float32)).shape == (1, 9 * 64)
