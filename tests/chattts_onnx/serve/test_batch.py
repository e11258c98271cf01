"""Batch jobs over HTTP."""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from chattts_onnx.bulk.job import locked
from chattts_onnx.errors import InputError
from chattts_onnx.serve.http.run import serve
from tests.chattts_onnx.serve.conftest import (
    HTTP,
    STEPS,
    Gate,
    Running,
    running,
    settings_for,
    until,
)  # fmt: skip

Start = Callable[..., Running]
SAMPLES = (2 * STEPS - 1) * 64
CSV = "id,text,voice,seed\nfirst,hello world,anna,1\n../../evil,good morning,,2\n,one,,\n"


def upload(server: Running, data: str, name: str = "lines.txt", **form: Any) -> httpx.Response:
    key = form.pop("key", None)
    return HTTP.post(
        f"{server.url}/v1/batch",
        files={"file": (name, data.encode())},
        data=form,
        headers={"x-api-key": key} if key else {},
    )


def status(server: Running, id: str, key: str = "") -> httpx.Response:
    headers = {"x-api-key": key} if key else {}
    return HTTP.get(f"{server.url}/v1/batch/{id}", headers=headers)


def finished(server: Running, id: str) -> dict[str, Any]:
    until(lambda: status(server, id).json()["ended"] is not None, "the job is over")
    found: dict[str, Any] = status(server, id).json()
    return found


def archive(server: Running, id: str) -> zipfile.ZipFile:
    answer = HTTP.get(f"{server.url}/v1/batch/{id}/result")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.content))


def test_a_table_becomes_wavs_and_a_manifest(server: Running) -> None:
    answer = upload(server, CSV, "lines.csv", voice="7")
    assert answer.status_code == 202 and answer.json()["total"] == 3
    done = finished(server, answer.json()["id"])
    assert (done["state"], done["done"], done["failed"], done["progress"]) == ("done", 3, 0, 1.0)
    with archive(server, done["id"]) as files:
        assert files.testzip() is None
        names = sorted(set(files.namelist()) - {"manifest.json"})
        assert names == ["00001_first.wav", "00002_evil.wav", "00003.wav"]
        manifest = json.loads(files.read("manifest.json"))
        spoken: dict[str, bytes] = {}
        for entry in manifest["lines"]:
            with wave.open(io.BytesIO(files.read(entry["file"]))) as audio:
                assert (audio.getnframes(), audio.getframerate()) == (SAMPLES, 8000)
                spoken[entry["file"]] = audio.readframes(SAMPLES)
        first, _, last = manifest["lines"]
    assert (first["id"], first["voice"], first["seed"]) == ("first", "anna", 1)
    assert first["takes"] == {"pieces": 1, "drawn": 1, "refused": {}, "faults": {}}
    [sentence] = first["sentences"]
    assert (sentence["text"], sentence["end"]) == ("hello world", pytest.approx(SAMPLES / 8000))
    assert (last["voice"], last["text"]) == ("7", "one") and last["seed"] is not None
    # The seed that was drawn repeats the line.
    body = {"text": "one", "voice": "7", "seed": last["seed"]}
    again = HTTP.post(f"{server.url}/v1/tts", json=body)
    with wave.open(io.BytesIO(again.content)) as audio:
        assert audio.readframes(SAMPLES) == spoken["00003.wav"]
    other = HTTP.post(f"{server.url}/v1/tts", json={**body, "seed": last["seed"] + 1})
    assert other.content != again.content


def test_each_line_without_a_seed_draws_its_own(server: Running) -> None:
    ids = [upload(server, "hello\nhello\n").json()["id"] for _ in range(2)]
    seeds = set()
    for id in ids:
        finished(server, id)
        with archive(server, id) as files:
            seeds |= {entry["seed"] for entry in json.loads(files.read("manifest.json"))["lines"]}
    assert len(seeds) == 4


@pytest.mark.parametrize("form", ["pcm", "flac", "mp3", "opus"])
def test_other_formats(server: Running, form: str) -> None:
    if form != "pcm":
        pytest.importorskip("soundfile")
    job = upload(server, "hello\n", format=form).json()
    assert finished(server, job["id"])["state"] == "done"
    with archive(server, job["id"]) as files:
        assert sorted(files.namelist()) == [f"00001.{form}", "manifest.json"]


def test_a_line_that_fails_is_told_and_the_others_are_spoken(server: Running) -> None:
    job = upload(server, '{"text": "hello"}\n{"text": "world", "voice": "bob"}\n', "a.jsonl").json()
    done = finished(server, job["id"])
    assert (done["state"], done["done"], done["failed"]) == ("done", 2, 1)
    with archive(server, job["id"]) as files:
        good, bad = json.loads(files.read("manifest.json"))["lines"]
    assert "file" in good and bad["error"].startswith("VoiceError") and "file" not in bad


def test_an_upload_may_say_its_encoding(server: Running) -> None:
    data = "世界 hello\n".encode("gb18030")
    for files, form in (
        ({"file": ("a.txt", data, "text/plain; charset=gbk")}, {}),
        ({"file": ("a.txt", data)}, {"encoding": "gb18030"}),
        ({"file": ("a.txt", "世界 hello\n".encode("utf-16"))}, {}),
    ):
        job = HTTP.post(f"{server.url}/v1/batch", files=files, data=form).json()
        assert finished(server, job["id"])["state"] == "done"
        with archive(server, job["id"]) as zipped:
            [line] = json.loads(zipped.read("manifest.json"))["lines"]
        assert line["text"] == "世界 hello"
    answer = HTTP.post(f"{server.url}/v1/batch", files={"file": ("a.txt", data)})
    assert answer.status_code == 422 and "not UTF-8" in answer.json()["error"]["message"]
    data = {"encoding": "klingon"}
    answer = HTTP.post(f"{server.url}/v1/batch", files={"file": ("a.txt", b"x")}, data=data)
    assert answer.status_code == 422 and "no encoding" in answer.json()["error"]["message"]


def test_bad_uploads_are_refused_at_once(start_server: Start) -> None:
    server = start_server(max_upload_bytes=2000, batch_lines=3)
    assert upload(server, "").status_code == 422
    assert "line 2" in upload(server, "text\n \n", "a.csv").json()["error"]["message"]
    assert upload(server, "a\nb\nc\nd\n").status_code == 413
    assert upload(server, "x" * 5000).status_code == 413
    assert upload(server, "hello", variant="none").status_code == 404
    assert upload(server, "hello", format="aac").status_code == 422
    assert HTTP.post(f"{server.url}/v1/batch").status_code == 422
    assert HTTP.get(f"{server.url}/v1/batch").json() == []


def test_progress_and_cancellation(start_server: Start, tmp_path: Path) -> None:
    server = start_server(batch_workers=2, jobs_folder=str(tmp_path / "jobs"))
    gate = Gate(server.service)
    id = upload(server, "hello\n" * 50).json()["id"]
    until(lambda: sum(server.service.load()["tiny"]) == 2, "two lines run")
    assert status(server, id).json()["state"] == "running"
    early = HTTP.get(f"{server.url}/v1/batch/{id}/result")
    assert early.status_code == 409 and early.json()["error"]["type"] == "JobStateError"
    gate.allow(STEPS + 2)
    until(lambda: status(server, id).json()["done"] >= 2, "two lines are done")
    assert 0 < status(server, id).json()["progress"] < 1
    answer = HTTP.delete(f"{server.url}/v1/batch/{id}")
    assert answer.json()["state"] == "cancelled"
    gate.open()
    until(lambda: server.service.active == 0, "its lines left")
    assert status(server, id).json()["done"] < 50
    until(lambda: list((tmp_path / "jobs").iterdir()) == [], "its files are gone")
    assert HTTP.get(f"{server.url}/v1/batch/{id}/result").status_code == 409


def test_a_finished_job_can_be_removed_and_is_kept_for_a_while_only(start_server: Start) -> None:
    server = start_server()
    id = upload(server, "hello\n").json()["id"]
    assert finished(server, id)["state"] == "done"
    assert HTTP.delete(f"{server.url}/v1/batch/{id}").status_code == 200
    assert status(server, id).status_code == 404
    forgetful = start_server(keep_seconds=0.01)
    id = upload(forgetful, "hello\n").json()["id"]
    until(lambda: status(forgetful, id).status_code == 404, "it is forgotten")


@pytest.mark.parametrize("seconds", [0.0, 4e9], ids=["1970", "2096"])
def test_jobs_go_by_no_clock_that_is_set(
    seconds: float, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = upload(server, "hello\n").json()["id"]
    finished(server, id)
    then = time.gmtime(seconds)
    monkeypatch.setattr(time, "time", lambda: seconds)
    monkeypatch.setattr(time, "localtime", lambda *_: then)
    other = upload(server, "hello\n").json()["id"]
    assert finished(server, other)["state"] == "done"
    with archive(server, other) as files:
        assert files.testzip() is None
    for tick in server.service.ticks:
        tick()
    assert [status(server, job).status_code for job in (id, other)] == [200, 200]


@pytest.mark.parametrize("kept", [True, False], ids=["folder", "temporary"])
def test_a_job_ends_with_its_server_and_the_next_one_says_so(
    start_server: Start, steady_path: Path, tmp_path: Path, kept: bool
) -> None:
    folder = str(tmp_path) if kept else ""
    with running(settings_for(steady_path, jobs_folder=folder)) as before:
        gate = Gate(before.service)
        lost = upload(before, "hello\n" * 9).json()["id"]
        until(lambda: sum(before.service.load()["tiny"]) > 0, "a line runs")
        gate.open()
    assert list(tmp_path.iterdir()) == []
    after = start_server(jobs_folder=folder)
    for path in ("", "/result"):
        answer = HTTP.get(f"{after.url}/v1/batch/{lost}{path}")
        assert answer.status_code == 404 and answer.json()["error"]["type"] == "LostJobError"
        assert "upload the file again" in answer.json()["error"]["message"]
    never = upload(after, "hello\n").json()["id"]
    HTTP.delete(f"{after.url}/v1/batch/{never[:-1]}")
    assert status(after, never[:-1]).json()["error"]["type"] == "UnknownJobError"


def test_what_a_killed_server_left_is_removed(start_server: Start, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    killed, young, living, other = (jobs / name for name in ("a" * 22, "b" * 22, "c" * 22, "notes"))
    for folder in (killed, young, living, other):
        (folder / ".work").mkdir(parents=True)
        (folder / ".work" / "0.wav").touch()
    with locked(living):
        for folder in (killed, living, other):
            os.utime(folder, (0, 0))
        start_server(jobs_folder=str(jobs))
        assert sorted(jobs.iterdir()) == sorted([young, living, other])


def test_temporary_folders_of_killed_servers_are_removed(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "chattts-onnx-jobs-left"
    left.mkdir()
    os.utime(left, (0, 0))
    link = tmp_path / "chattts-onnx-jobs-link"
    link.symlink_to(tmp_path)
    start_server()
    assert not left.exists() and link.is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_read_what_a_job_leaves(start_server: Start, tmp_path: Path) -> None:
    server = start_server(jobs_folder=str(tmp_path / "jobs"))
    id = upload(server, "hello\n").json()["id"]
    finished(server, id)
    folder = tmp_path / "jobs" / id
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not [path for path in folder.rglob("*") if path.suffix in (".wav", ".txt")]
    assert (folder / "speech.zip").stat().st_mode & 0o777 == 0o600


def test_keys_take_turns(start_server: Start) -> None:
    server = start_server(batch_workers=1, api_keys=("one", "two"))
    gate = Gate(server.service)
    long = upload(server, "hello\n" * 20, key="one").json()["id"]
    until(lambda: sum(server.service.load()["tiny"]) == 1, "its first line runs")
    short = upload(server, "hello\n", key="two").json()["id"]
    gate.open()
    until(lambda: status(server, short, "two").json()["state"] == "done", "the short one is done")
    assert status(server, long, "one").json()["done"] < 20


def test_a_key_neither_fills_nor_empties_anothers_room(start_server: Start) -> None:
    server = start_server(batch_jobs=4, api_keys=("one", "two"))

    def spoken(key: str) -> str:
        id: str = upload(server, "hello\n", key=key).json()["id"]
        until(lambda: status(server, id, key).json()["state"] == "done", "it is done")
        return id

    kept = spoken("two")
    assert len({spoken("one") for _ in range(4)}) == 4
    assert len(HTTP.get(f"{server.url}/v1/batch", headers={"x-api-key": "one"}).json()) == 2
    assert status(server, kept, "two").json()["state"] == "done"
    gate = Gate(server.service)
    answers = [upload(server, "hello\n", key="one").status_code for _ in range(4)]
    assert answers == [202, 202, 429, 429]
    assert upload(server, "hello\n", key="two").status_code == 202
    gate.open()


def test_bytes_of_jobs_are_limited(start_server: Start, tmp_path: Path) -> None:
    one = 2 * SAMPLES
    server = start_server(max_jobs_bytes=5 * one, jobs_folder=str(tmp_path), batch_workers=1)
    assert upload(server, ("x" * 999 + "\n") * (one // 100)).status_code == 429
    first = upload(server, "hello\nhello\n").json()["id"]
    assert finished(server, first)["state"] == "done"
    # The second pushes the first out, the third is too long by itself.
    second = upload(server, "hello\nhello\nhello\n").json()["id"]
    assert finished(server, second)["state"] == "done"
    assert status(server, first).status_code == 404
    third = finished(server, upload(server, "hello\n" * 9).json()["id"])
    assert third["state"] == "failed" and "bytes" in third["error"] and third["done"] < 9
    until(lambda: list(tmp_path.iterdir()) == [], "its files are gone")


def test_an_unusable_folder_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/jobs: .*--jobs-folder"):
        serve(settings_for(tmp_path / "none", jobs_folder=str(tmp_path / "file" / "jobs")))


def test_jobs_are_limited_and_finished_ones_make_room(start_server: Start) -> None:
    server = start_server(batch_jobs=2)
    gate = Gate(server.service)
    ids = [upload(server, "hello\n").json()["id"] for _ in range(2)]
    refused = upload(server, "hello\n")
    assert refused.status_code == 429 and "retry-after" in refused.headers
    gate.open()
    for id in ids:
        finished(server, id)
    assert upload(server, "hello\n").status_code == 202


def test_a_server_may_take_no_jobs(start_server: Start) -> None:
    refused = upload(start_server(batch_jobs=0), "hello\n")
    assert refused.status_code == 404 and "takes no batch jobs" in refused.text


def test_jobs_belong_to_their_key(start_server: Start) -> None:
    server = start_server(api_keys=("one", "two"))
    id = upload(server, "hello\n", key="one").json()["id"]
    assert status(server, id, "two").status_code == 404
    assert status(server, id, "one").status_code == 200
    headers = {"x-api-key": "two"}
    assert HTTP.get(f"{server.url}/v1/batch", headers=headers).json() == []
    gone = HTTP.delete(f"{server.url}/v1/batch/{id}", headers=headers)
    assert gone.status_code == 404


def test_jobs_leave_places_to_requests(start_server: Start) -> None:
    server = start_server(slots=1, queue=0, batch_workers=1)
    gate = Gate(server.service)
    upload(server, "hello\n" * 3)
    until(lambda: sum(server.service.load()["tiny"]) == 1, "a line runs")
    gate.open()
    answer = HTTP.post(f"{server.url}/v1/tts", json={"text": "hello"})
    assert answer.status_code == 200


def test_a_server_that_ends_takes_no_uploads(start_server: Start) -> None:
    server = start_server()
    gate = Gate(server.service)
    busy = upload(server, "hello\n").json()["id"]
    server.service.stop()
    refused = upload(server, "hello\n")
    assert refused.status_code == 503 and refused.json()["error"]["type"] == "StoppingError"
    assert [job["id"] for job in HTTP.get(f"{server.url}/v1/batch").json()] == [busy]
    gate.open()


def test_a_folder_of_its_own_goes_with_the_server(
    steady_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(settings_for(steady_path)) as server:
        finished(server, upload(server, "hello\n").json()["id"])
        (folder,) = tmp_path.glob("chattts-onnx-jobs-*")
        assert list(folder.rglob("*.zip"))
    assert not list(tmp_path.glob("chattts-onnx-jobs-*"))
