"""Where speech goes: a suffix means its format; links, pipes and devices are written through."""

from __future__ import annotations

import errno
import os
import stat
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import InputError, cli, write_wav
from chattts_onnx.atomic_files import followed, is_special, scratch_path, write_file
from chattts_onnx.audio.formats import SUFFIXES, choose_format
from chattts_onnx.audio.read import read_audio
from chattts_onnx.audio.sinks import PcmSink, SoundfileSink
from chattts_onnx.voices.vectors import load_speaker, save_speaker

SHORT = ["--threads", "1", "--seed", "3", "--max-new-tokens", "12"]
FOREIGN = ["aac", "m4a", "mp4", "AAC", "webm", "wma", "aiff", "amr", "txt", "json", "tar.gz"]


def say(*arguments: str | Path) -> int:
    return cli.main(["say", "hello", *map(str, arguments), *SHORT])


@pytest.mark.parametrize("suffix", FOREIGN)
def test_a_suffix_of_another_format_is_refused_before_the_work(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("-b", "missing", "-o", tmp_path / f"x.{suffix}") == 2
    assert "is no format that is made here" in capsys.readouterr().err
    with pytest.raises(InputError, match="is no format"):
        write_wav(tmp_path / f"x.{suffix}", np.zeros(3), 8000) if suffix in FOREIGN[:8] else (
            choose_format(f"x.{suffix}", None)
        )
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_and_a_format_agree() -> None:
    for suffix, form in SUFFIXES.items():
        assert (
            choose_format(f"a{suffix}", None) == choose_format(f"a{suffix.upper()}", form) == form
        )
        with pytest.raises(InputError, match=f"the suffix {suffix} means {form}"):
            choose_format(f"a{suffix}", "mp3" if form == "wav" else "wav")
    with pytest.raises(InputError, match="is no format"):
        choose_format("a.m4a", "wav")
    assert choose_format("speech", None) == choose_format("speech.v2", "wav") == "wav"
    assert choose_format("-", None) == choose_format("-", "raw") == "raw"


@pytest.mark.parametrize("form", ["wav", "raw", "flac", "mp3", "opus"])
def test_a_pipe_is_written_while_it_is_read(form: str, bundle_path: Path, tmp_path: Path) -> None:
    plain, pipe = tmp_path / f"plain.{form}", tmp_path / f"pipe.{form}"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert say("-b", bundle_path, "-o", pipe, "--stream") == 0
    reader.join(60)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert say("-b", bundle_path, "-o", plain, "--stream") == 0
    skip = 44 if form == "wav" else 0  # a pipe's header can't know the length
    if form in ("wav", "raw", "flac"):
        assert heard[0][skip:] == plain.read_bytes()[skip:] != b""
    assert len(heard[0]) > 40
    assert {path.name for path in tmp_path.iterdir()} == {plain.name, pipe.name}


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_device_stays_a_device(form: str, bundle_path: Path) -> None:
    before = Path("/dev/null").stat()
    assert say("-b", bundle_path, "-o", "/dev/null", "--format", form) == 0
    write_wav("/dev/null", np.zeros(10), 8000)
    write_file(Path("/dev/null"), b"x")
    after = Path("/dev/null").stat()
    assert stat.S_ISCHR(after.st_mode)
    assert (before.st_ino, before.st_rdev) == (after.st_ino, after.st_rdev)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_all_names_of_a_file_get_the_speech(form: str, bundle_path: Path, tmp_path: Path) -> None:
    first, second = tmp_path / f"first.{form}", tmp_path / f"second.{form}"
    first.write_bytes(b"x" * 10**6)
    second.hardlink_to(first)
    assert say("-b", bundle_path, "-o", second) == 0
    assert first.samefile(second) and first.stat().st_nlink == 2
    assert 1000 < first.stat().st_size < 10**6
    assert read_audio(first).seconds > 0.1
    assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name}


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_file_that_is_mounted_by_itself_is_written(
    code: int, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(self: Path, target: Path) -> None:
        raise OSError(code, "as a container's mount answers")

    output = tmp_path / "a.wav"
    output.write_bytes(b"x" * 10**6)
    monkeypatch.setattr(Path, "replace", replace)
    assert say("-b", bundle_path, "-o", output) == 0
    assert read_audio(output).seconds > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_file_that_may_not_be_written_is_replaced(tmp_path: Path) -> None:
    """As of a cache that links its files: another's content is never changed."""
    cached, own = tmp_path / "cached", tmp_path / "own"
    cached.write_bytes(b"cached")
    cached.chmod(0o444)
    own.hardlink_to(cached)
    write_file(own, b"new")
    assert (cached.read_bytes(), own.read_bytes()) == (b"cached", b"new")


def test_a_full_device_is_said(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("-b", bundle_path, "-o", "/dev/full") == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_link_stays_and_its_file_is_replaced(
    form: str, bundle_path: Path, tmp_path: Path
) -> None:
    target, middle, link = tmp_path / "far" / "a", tmp_path / "middle", tmp_path / f"link.{form}"
    target.parent.mkdir()
    middle.symlink_to("far/a")
    link.symlink_to(middle)
    for _ in range(2):  # dangling at first
        assert say("-b", bundle_path, "-o", link) == 0
        assert link.is_symlink() and middle.is_symlink() and not target.is_symlink()
        assert target.stat().st_size > 40
        assert [path.name for path in target.parent.iterdir()] == ["a"]
    target.write_bytes(b"kept")
    assert say("-b", "missing", "-o", link) == 2
    assert target.read_bytes() == b"kept"


def test_every_writer_follows_links(tmp_path: Path) -> None:
    for name in ("a.json", "a.csv", "a.npy", "a.txt"):
        (tmp_path / name).symlink_to(f"real-{name}")
        saved = save_speaker(tmp_path / name, np.linspace(-1, 1, 8), 8)
        assert (tmp_path / name).is_symlink()
        np.testing.assert_array_equal(load_speaker(tmp_path / f"real-{name}", 8), saved) if (
            name != "a.txt"
        ) else None
    (tmp_path / "a.wav").symlink_to("real.wav")
    write_wav(tmp_path / "a.wav", np.zeros(4), 8000)
    assert (tmp_path / "a.wav").is_symlink() and (tmp_path / "real.wav").is_file()


def test_what_a_process_has_open_is_written_through(bundle_path: Path, tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb+") as stream:
        name = Path(f"/proc/self/fd/{stream.fileno()}")
        assert is_special(name) and not is_special(tmp_path / "a.wav") and not is_special(tmp_path)
        assert say("-b", bundle_path, "-o", name, "--format", "wav") == 0
        stream.seek(0)
        assert stream.read(4) == b"RIFF"


def test_an_aborted_output_leaves_what_was_there(tmp_path: Path) -> None:
    for make in (
        lambda name: PcmSink(name, 8000, header=True, float32=False),
        lambda name: SoundfileSink(name, "flac", 8000),
    ):
        target = tmp_path / "a"
        target.write_bytes(b"before")
        sink = make(str(target))
        sink.write(np.zeros(100, np.float32))
        sink.abort()
        assert target.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


PLACES = [
    "with space",
    'it\'s "quoted"',
    "声音",
    "a" * 200,
    "semi;colon&amp",
    "$HOME",
    "-dash",
    "%s",
]


@pytest.mark.parametrize("name", PLACES)
def test_any_name_of_a_folder_or_file_will_do(
    name: str, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "bundle").symlink_to(bundle_path)
    (folder / f"{name}.txt").write_text("hello", "utf-8")
    monkeypatch.chdir(folder)
    target = folder / f"{name}.wav"
    words = ["--threads", "1", "--seed", "3", "--max-new-tokens", "12", "--voice", "1"]
    text = str(folder / f"{name}.txt")
    assert cli.main(["say", "-f", text, "-b", "bundle", f"-o{target}", *words]) == 0
    with wave.open(str(target)) as file:
        assert file.getnframes() > 0


def test_a_name_that_just_fits_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".wav", "声" * 83 + "ab.wav"):
        assert len(os.fsencode(name)) == 255
        assert len(os.fsencode(scratch_path(tmp_path / name).name)) <= 255
        write_wav(tmp_path / name, np.zeros(4), 8000)
        assert (tmp_path / name).is_file()
    assert len(list(tmp_path.iterdir())) == 2


def test_names_that_do_not_fit_are_one_line(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("a" * 300 + ".wav")
    for words in (
        ["say", "hello", "-b", str(bundle_path), "-o", str(long)],
        ["say", "-f", str(long), "-b", str(bundle_path), "-o", str(tmp_path / "a.wav")],
        ["say", "hello", "-b", str(long), "-o", str(tmp_path / "a.wav")],
        ["say", "hello", "-b", str(bundle_path), "-o", str(tmp_path / "a.wav"), "--clone",
         str(long), "--transcript", "x"],
        ["say", "hello", "-b", str(bundle_path), "-o", str(tmp_path / "a.wav"), "--voice",
         str(long)],
        ["voices", "convert", "7", str(long.with_suffix(".json"))],
        ["batch", str(long.with_suffix(".jsonl")), "-o", str(tmp_path / "x"), "-b",
         str(bundle_path)],
        ["fetch", str(long)],
        ["verify", str(long)],
        ["doctor", "-b", str(long)],
    ):  # fmt: skip
        assert cli.main(words) in (1, 2), words
        error = capsys.readouterr().err
        assert "Traceback" not in error and error.count("\n") <= 1, words
    assert list(tmp_path.iterdir()) == []


def test_links_are_followed_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("c")
    assert followed(tmp_path / "a") == tmp_path / "c" and followed(tmp_path / "c") == tmp_path / "c"
