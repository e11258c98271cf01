"""Short forms of the fuzzing of every reader, and that the fuzzer sees what it looks for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chattts_onnx.errors import InputError
from tools.drills.fuzz.campaign import attack
from tools.drills.fuzz.json_mutations import dump
from tools.drills.fuzz.ledger import Ledger
from tools.drills.fuzz.mutations import mutate_bytes
from tools.drills.fuzz.reader import Prepared, Reader
from tools.drills.fuzz.readers import ALL
from tools.drills.fuzz.trial import Trial, shrink
from tools.drills.fuzz.worker import Search, mutated

MUTATED, GENERATED = 200, 60
JSON_READERS = [
    "gpt-config", "tokenizer", "checkpoint-record", "manifest", "voice-json", "voice-sample",
    "corpus-jsonl", "job-jsonl", "lexicon-json", "lexicon-yaml", "parameters", "sentences",
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
patient = settings(
    max_examples=GENERATED, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A trial makes errors of warnings, which must not outlive it."""
    with warnings.catch_warnings():
        yield


def prepared(name: str, folder: Path) -> tuple[Prepared, Trial]:
    ready = ALL[name].prepare(folder)
    return ready, Trial(ALL[name], ready)


@pytest.mark.parametrize("name", ALL)
def test_mutated_inputs_are_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    ready, trial = prepared(name, tmp_path)
    refused = 0
    for index in range(max(20, MUTATED // ALL[name].cost)):
        failure = trial(mutated(ALL[name], ready, seed=0, index=index))
        assert failure is None, failure.detail
        refused += trial.refused
    # Lines of a corpus are refused one by one, so none of its files is.
    assert refused or name == "corpus-jsonl"


@pytest.mark.parametrize("name", ["manifest", "voice-csv", "archive", "wav", "graph", "voice-npy"])
def test_any_bytes_are_read_or_refused_by_name(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, trial = prepared(name, tmp_path_factory.mktemp("reader"))

    @patient
    @given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
    def check(data: bytes) -> None:
        assert trial(data) is None

    check()


@pytest.mark.parametrize("name", JSON_READERS)
def test_any_json_is_read_or_refused_by_name(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, trial = prepared(name, tmp_path_factory.mktemp("reader"))

    @patient
    @given(values)
    def check(value: object) -> None:
        assert trial(dump(value)) is None

    check()


def reader(read: Callable[[bytes], object], **bounds: float) -> tuple[Reader, Prepared]:
    ready = Prepared((b"seed",), read)
    return Reader("fake", "fake", lambda _: ready, mutate_bytes, **bounds), ready  # type: ignore[arg-type]


def trial_of(read: Callable[[bytes], object], **bounds: float) -> Trial:
    return Trial(*reader(read, **bounds))


def fails_on_x(error: Callable[[], BaseException]) -> Callable[[bytes], object]:
    def read(data: bytes) -> None:
        if b"x" in data:
            raise error()

    return read


@pytest.mark.parametrize(
    ("error", "signature"),
    [
        (lambda: KeyError("a"), "KeyError"),
        (lambda: MemoryError(), "MemoryError"),
        (lambda: SystemExit(3), "SystemExit"),
        (lambda: InputError("a" * 5000), "long message"),
        (lambda: InputError("\ud800"), "message is no Unicode"),
    ],
)
def test_each_broken_promise_is_seen(error: Callable[[], BaseException], signature: str) -> None:
    trial = trial_of(fails_on_x(error))
    assert trial(b"abc") is None
    failure = trial(b"axc")
    assert failure is not None
    assert failure.signature.startswith(signature)
    assert trial_of(fails_on_x(lambda: InputError("no")))(b"x") is None


def test_warnings_and_slow_inputs_are_seen() -> None:
    def overflow(data: bytes) -> None:
        if data == b"x":
            np.float32(3e38) * np.float32(10)

    def spin(data: bytes) -> None:
        stop = time.process_time() + (60 if data == b"x" else 0)
        while time.process_time() < stop:
            pass

    failure, slow = trial_of(overflow)(b"x"), trial_of(spin, seconds=0.05)(b"x")
    assert failure is not None and failure.signature.startswith("RuntimeWarning")
    assert slow is not None and slow.signature.startswith("TooSlowError")


def test_failures_are_made_small_and_saved_once_each(tmp_path: Path) -> None:
    made, ready = reader(fails_on_x(lambda: KeyError("a")))
    ledger = Ledger(tmp_path / "ledger")
    search = Search(Trial(made, ready, ledger), tmp_path / "failures")
    for data in (b"fine", b"aaaaaaaaxbbbbb", b"x" * 99):
        search(data)
    assert ledger["tried"] == 3
    assert ledger.current == b"x" * 99
    (saved,) = (tmp_path / "failures").glob("*.input")
    assert saved.read_bytes() == b"x"
    assert "KeyError" in saved.with_suffix(".txt").read_text()


def test_shrinking_keeps_the_failure() -> None:
    trial = trial_of(fails_on_x(lambda: KeyError("a")))
    failure = trial(b"123x456")
    assert failure is not None
    assert shrink(b"123x456", failure.signature, trial) == b"x"


def test_inputs_depend_on_seed_and_number_alone(tmp_path: Path) -> None:
    ready = ALL["checksums"].prepare(tmp_path)
    first, again, other = (mutated(ALL["checksums"], ready, seed, 5) for seed in (1, 1, 2))
    assert first == again != other
    assert mutate_bytes(b"abcdef", Random(1)) == mutate_bytes(b"abcdef", Random(1))


@pytest.mark.slow
def test_a_campaign_counts_both_kinds_of_inputs(tmp_path: Path) -> None:
    tally = attack(ALL["checksums"], 60, 40, 1, tmp_path)
    assert (tally.mutated, tally.failures) == (60, ())
    assert tally.guided >= 40
    assert 0 < tally.refused <= tally.mutated + tally.guided
    assert tally.branches > 5
