from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError
from chattts_onnx.audio.read import parse_wav, read_audio
from chattts_onnx.audio.wav import to_bytes
from chattts_onnx.bulk import (
    BulkError,
    CorpusError,
    JobError,
    Store,
    Tally,
    check,
    run,
    speaking,
    utterance,
)
from chattts_onnx.bulk.job import locked
from chattts_onnx.bulk.line import parse_line
from chattts_onnx.errors import HearingError
from tests.chattts_onnx.bulk.corpora import STEPS, contents, make_job, manifest, rows, write_jsonl

LINES = 11


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "c.jsonl", rows(LINES))


def test_every_line_is_what_say_speaks(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    job = make_job(corpus, bundle.path, tmp_path / "out")
    summary = run(job, bundle, slots=3)
    found = manifest(job.output)
    assert (summary.lines, summary.failed, summary.run_lines) == (LINES, 0, LINES)
    assert [entry["line"] for entry in found] == list(range(LINES))
    params = bundle.default_params().but(**dict(STEPS))
    for row, entry in zip(rows(LINES), found, strict=True):
        assert entry["id"] == row["id"] and entry["text"] == row["text"]
        assert entry["seed"] == row.get("seed", entry["seed"])
        with tarfile.open(job.output / entry["shard"]) as archive:
            member = archive.extractfile(entry["file"])
            assert member is not None
            audio = parse_wav(member.read(), "member").audio
            note = archive.extractfile(entry["file"].replace(".wav", ".json"))
            assert note is not None and json.load(note) == entry
        assert len(audio) == entry["samples"]
        spoken = bundle.say(
            row["text"], row["voice"], seed=entry["seed"], speed=row.get("speed"), params=params
        )
        expected = parse_wav(to_bytes(spoken, bundle.sample_rate), "expected").audio
        np.testing.assert_allclose(audio, expected, atol=2 / 32768)


def test_a_long_line_is_spoken_in_pieces_as_say_does(bundle: Bundle, tmp_path: Path) -> None:
    text = "hello world, one two three. good morning. " * 6
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": text, "seed": 5}, {"text": "two"}])
    params = bundle.default_params().but(**dict(STEPS))
    job = make_job(
        corpus, bundle.path, tmp_path / "out", container="folder", options={"piece_tokens": 12}
    )
    run(job, bundle)
    entry = manifest(job.output)[0]
    audio = read_audio(job.output / entry["shard"] / entry["file"]).audio
    expected = bundle.say(text, seed=5, params=params, piece_tokens=12)
    assert len(expected) > 4 * bundle.sample_rate * 0.15
    np.testing.assert_allclose(audio, np.clip(expected, -1, 1), atol=2 / 32768)


class _Unseen(Future[None]):
    """The work of a thread that nobody looks after while there is anything else to do."""

    def done(self) -> bool:
        return False


class _Ahead(ThreadPoolExecutor):
    """A thread that is always done with what it was given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = _Unseen()
        future.set_result(fn(*args, **kwargs))
        return future


def test_a_line_ends_once_however_early_its_audio_is_ready(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chattts_onnx.bulk.speaking.ThreadPoolExecutor", _Ahead)
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": "hello world, one two three. " * 6}])
    job = make_job(corpus, bundle.path, tmp_path / "out", options={"piece_tokens": 12})
    summary = run(job, bundle)
    assert (summary.lines, summary.failed) == (1, 0)
    assert len(manifest(job.output)) == 1


@pytest.mark.parametrize("container", ["tar", "folder"])
def test_bytes_do_not_depend_on_what_else_runs(
    bundle: Bundle, corpus: Path, tmp_path: Path, container: str
) -> None:
    found = []
    for slots in (1, 3, 8):
        job = make_job(corpus, bundle.path, tmp_path / f"out{slots}", container=container)
        run(job, bundle, slots=slots)
        found.append(contents(job.output))
    assert found[0] == found[1] == found[2]


def test_slots_stay_full(bundle: Bundle, tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", rows(60))
    # Shards of 4 lines on 8 slots: only a batch that runs across their borders is full.
    summary = run(make_job(corpus, bundle.path, tmp_path / "out"), bundle, slots=8)
    assert summary.occupancy is not None and summary.occupancy > 0.75


def test_bad_lines_are_recorded_and_passed(bundle: Bundle, tmp_path: Path) -> None:
    lines: list[Any] = rows(6)
    lines[1:1] = ["not json", {"id": "empty"}, {"id": "v", "text": "hello", "voice": "nobody"}]
    lines += [{"text": "😀"}, {"text": "hello", "speed": 12}]
    corpus = write_jsonl(tmp_path / "c.jsonl", lines)
    job = make_job(corpus, bundle.path, tmp_path / "out", shard_lines=2)
    summary = run(job, bundle)
    found = manifest(job.output)
    assert (summary.lines, summary.failed) == (11, 5)
    assert len(summary.failures) == 5
    told = str(summary).splitlines()[1:]
    assert [line.strip() for line in told] == list(summary.failures)
    failed = {entry["line"]: entry["error"] for entry in found if entry["status"] == "error"}
    assert list(failed) == [1, 2, 3, 9, 10]
    assert "no JSON" in failed[1] and "column text" in failed[2] and "nobody" in failed[3]
    assert "can be spoken" in failed[9] and "speed is 12" in failed[10]
    assert found[3]["id"] == "v" and found[3]["file"] is None and found[3]["samples"] == 0
    # A shard of bad lines alone is a shard all the same.
    with tarfile.open(job.output / "shard-000001.tar") as archive:
        assert len(archive.getnames()) == 0
    with tarfile.open(job.output / "shard-000002.tar") as archive:
        assert archive.getnames()[:2] == ["000000004_u1.wav", "000000004_u1.json"]
        assert len(archive.getnames()) == 4
    assert check(job.corpus, bundle, job.settings).failed == 5
    with pytest.raises(CorpusError, match="5 of 11 lines can't be spoken; line 1"):
        check(job.corpus, bundle, job.settings).require_good()


def test_a_check_counts_what_the_checkpoint_cannot_do(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    english = {"domain": "Greetings.", "languages": ["en"], "options": []}
    monkeypatch.setitem(bundle.manifest.checkpoint, "abilities", english)  # type: ignore[arg-type]
    lines = [{"text": "你好"}, {"text": "hello", "speed": 5}, {"text": "你好", "speed": 5}]
    corpus = write_jsonl(tmp_path / "c.jsonl", lines)
    job = make_job(corpus, bundle.path, tmp_path / "out")
    found = check(job.corpus, bundle, job.settings).warnings
    assert sorted(found.values()) == [2, 2]
    assert any("Mandarin" in told for told in found)


def test_a_line_that_fails_while_it_is_spoken(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chattts_onnx.decoding import batch

    kept = batch.Batch._keep

    def keep(self: Any, slot: int, request: Any, tokens: Any, hidden: Any) -> Any:
        if request.seed == 105 and request.steps == 3:
            return batch._not_finite(request, "gpt", "logits", "NaN")
        return kept(self, slot, request, tokens, hidden)

    monkeypatch.setattr(batch.Batch, "_keep", keep)
    job = make_job(corpus, bundle.path, tmp_path / "out")
    summary = run(job, bundle, slots=2)
    found = manifest(job.output)
    assert summary.failed == 1
    assert "NaN" in found[5]["error"] and found[5]["seed"] == 105


def test_a_finished_job_is_left_as_it_is(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    job = make_job(corpus, bundle.path, tmp_path / "out")
    first = run(job, bundle)
    before = {path: path.stat().st_mtime_ns for path in job.output.glob("shard-*")}
    figures = (job.output / "summary.json").read_bytes()
    again = run(job, bundle)
    assert again.run_lines == 0 and again.lines == first.lines
    assert {path: path.stat().st_mtime_ns for path in job.output.glob("shard-*")} == before
    assert (job.output / "summary.json").read_bytes() == figures


def test_finished_lines_of_an_unfinished_shard_are_kept(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(corpus, bundle.path, tmp_path / "out", shard_lines=100)
    whole = make_job(corpus, bundle.path, tmp_path / "whole", shard_lines=100)
    run(whole, bundle)

    def stop(tally: Tally) -> None:
        if tally.lines == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, bundle, slots=2, on_progress=stop)
    work = job.output / ".work" / "shard-000000"
    names = sorted(path.name for path in work.glob("0*.wav"))
    assert len(names) == 6
    # One is damaged by whatever; a journal ends in half a line, as a kill leaves it.
    (work / names[0]).write_bytes(b"RIFF")
    with next(work.glob("journal-*")).open("ab") as journal:
        journal.write(b'{"line": 9, "fi')
    spoken: list[int] = []
    original = utterance.line_entry
    monkeypatch.setattr(
        utterance, "line_entry", lambda line: spoken.append(line.number) or original(line)
    )
    summary = run(job, bundle, slots=2)
    assert summary.run_lines == LINES - 5
    assert len(spoken) == LINES - 5 and int(names[0][:9]) in spoken
    assert contents(job.output) == contents(whole.output)


def test_another_job_is_refused(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(make_job(corpus, bundle.path, output), bundle)
    with pytest.raises(JobError, match=r"settings\.format is 'wav', now 'flac'"):
        run(make_job(corpus, bundle.path, output, format="flac"), bundle)
    write_jsonl(corpus, rows(LINES + 1))
    with pytest.raises(JobError, match="lines is 11, now 12"):
        run(make_job(corpus, bundle.path, output), bundle)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(JobError, match="not empty"):
        run(make_job(corpus, bundle.path, tmp_path / "mine"), bundle)


def test_one_process_at_a_time(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    job = make_job(corpus, bundle.path, tmp_path / "out")
    with locked(job.output), pytest.raises(JobError, match="another process"):
        run(job, bundle)
    assert run(job, bundle).lines == LINES


def test_a_failing_machine_stops_the_job_and_no_line_is_blamed(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(corpus, bundle.path, tmp_path / "out")
    calls = []

    def fail(hidden: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise MemoryError("out of memory")
        return Bundle.decode_hidden(bundle, hidden)

    with monkeypatch.context() as patch:
        patch.setattr(bundle, "decode_hidden", fail, raising=False)
        with pytest.raises(BulkError, match="out of memory"):
            run(job, bundle, slots=2)
    assert not (job.output / "manifest.jsonl").exists()
    with pytest.raises(BulkError, match="not finished"):
        Store(job).conclude()
    assert run(job, bundle).failed == 0
    whole = make_job(corpus, bundle.path, tmp_path / "whole")
    run(whole, bundle)
    assert contents(job.output) == contents(whole.output)


def test_a_full_disk_is_the_machines_fault(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chattts_onnx.audio.sinks import PcmSink

    def full(self: Any, chunk: Any) -> None:
        raise OSError(28, "No space left on device")

    job = make_job(corpus, bundle.path, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(PcmSink, "write", full)
        with pytest.raises(BulkError, match="No space left"):
            run(job, bundle)
    assert run(job, bundle).failed == 0


def test_flac_and_without_text(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    job = make_job(corpus, bundle.path, tmp_path / "out", format="flac", keep_text=False)
    run(job, bundle)
    entry = manifest(job.output)[2]
    assert entry["text"] is None and len(entry["text_sha256"]) == 64
    with tarfile.open(job.output / entry["shard"]) as archive:
        member = archive.extractfile(entry["file"])
        assert member is not None
        audio, rate = soundfile.read(io.BytesIO(member.read()))
    assert (len(audio), rate) == (entry["samples"], bundle.sample_rate)


def test_lines_in_hand_are_bounded_by_the_slots(bundle: Bundle, tmp_path: Path) -> None:
    settings = make_job(
        write_jsonl(tmp_path / "c.jsonl", rows(1)), bundle.path, tmp_path / "out"
    ).settings
    speaker = speaking.Speaker(bundle, settings, slots=2)
    taken = 0

    def tasks() -> Iterator[utterance.Task]:
        nonlocal taken
        for number, row in enumerate(rows(40)):
            taken += 1
            line = parse_line(number, row, settings.defaults)
            yield utterance.Task(line, tmp_path / f"{number}.wav")

    most = 0
    for done, _ in enumerate(speaker.speak(tasks()), 1):
        most = max(most, taken - done)
    assert done == 40
    # As many again wait for a slot as hold one, and as many again for each to be decoded.
    assert most <= 5 * 2


def test_steps_run_an_even_number_of_rows(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chattts_onnx.decoding.decoder import Decoder

    counts: list[int] = []
    step = Decoder.step

    def counted(self: Decoder, count: int) -> Any:
        counts.append(count)
        return step(self, count)

    monkeypatch.setattr(Decoder, "step", counted)
    run(make_job(corpus, bundle.path, tmp_path / "out"), bundle, slots=5)
    # The last line alone runs beside an idle row; see speaking.ROW_MULTIPLE.
    assert set(counts) <= {2, 4, 6} and 6 in counts


class Deaf:
    """Hears the first take of one line as something else."""

    limit = 0.3

    def __init__(self, limit: float) -> None:
        self.heard: list[str] = []

    def errors(self, text: str, audio: np.ndarray, sample_rate: int) -> float:
        self.heard.append(text)
        return 1.0 if self.heard.count(text) < 3 and "good" in text else 0.0


@pytest.mark.parametrize("takes", [2, 3])
def test_what_is_heard_as_something_else_is_drawn_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int
) -> None:
    monkeypatch.setattr(speaking, "Check", Deaf)
    lines = [
        {"text": "hello world. good morning.", "seed": 10, "piece_tokens": 4, "takes": takes},
        {"text": "one two three", "seed": 20, "takes": 3},
    ]
    job = make_job(
        write_jsonl(tmp_path / "c.jsonl", lines), bundle.path, tmp_path / "out", check=0.3,
        options={"min_new_tokens": 6},
    )  # fmt: skip
    summary = run(job, bundle)
    first, second = manifest(job.output)
    assert (first["drawn"], first["refused"]) == (1 + takes, {"unheard": takes - 1})
    assert (first["faults"], first["wrong"]) == (({}, 0.0) if takes == 3 else ({"unheard": 1}, 1.0))
    assert (second["drawn"], second["refused"], second["faults"]) == (1, {}, {})
    assert (summary.refused, summary.wrong) == (takes - 1, int(takes == 2))


def test_what_checks_is_asked_for_before_any_work(
    bundle: Bundle, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(HearingError, match=r"faster-whisper is not .*chattts-onnx\[check\]"):
        run(make_job(corpus, bundle.path, tmp_path / "out", check=0.3), bundle)
    with pytest.raises(InputError, match="check is 2; expected a share"):
        run(make_job(corpus, bundle.path, tmp_path / "two", check=2), bundle)
