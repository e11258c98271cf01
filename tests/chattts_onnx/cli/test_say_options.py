"""What `say` does beyond speaking one sentence into a WAV file."""

from __future__ import annotations

import io
import shlex
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, cli, write_wav

SHORT = ["--threads", "1", "--seed", "3", "--max-new-tokens", "12"]


def say(*arguments: str | Path) -> int:
    return cli.main(["say", *map(str, arguments)])


def test_dry_run_prints_text_and_tokens_without_a_model(
    bundle_path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lexicon = tmp_path / "words.json"
    lexicon.write_text('{"AI": "world"}', "utf-8")
    text = "Hello AI, 2 ⟁ [laugh] [Stts]"
    assert say(text, "--dry-run", "-b", bundle_path, "--lexicon", lexicon) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("tokens, then 0.70 s")
    assert out[1].strip() == "Hello world, two [laugh]"
    assert out[2].split() == ["hello", "world", ",", "two", "[laugh]"]
    assert "lexicon: 'AI' -> 'world'" in out and "number: '2' -> 'two'" in out
    assert "unknown symbol: '⟁' -> left out" in out and "prompt token: '[Stts]' -> left out" in out
    assert say("你好 unheard", "--dry-run", "-b", bundle_path) == 0
    assert capsys.readouterr().out.endswith("unknown to the tokenizer: unheard\n")
    assert say("共5个", "--dry-run") == 0
    assert "共五个" in capsys.readouterr().out


def test_options_of_reading(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("房间里有123人和花儿", "--dry-run", "--numbers", "digits", "--erhua", "keep") == 0
    assert "房间里有一二三人和花儿" in capsys.readouterr().out
    assert say("2 €", "--dry-run", "--no-normalize") == 0
    assert "2 €" in capsys.readouterr().out
    assert say("<b>x</b>", "--dry-run", "--markup", "plain") == 0
    assert "b x b" in capsys.readouterr().out
    assert say("看。\n```\ny=5\n```\n完。", "--dry-run", "--code", "skip") == 0
    assert "code: 'y=5' -> left out" in capsys.readouterr().out


def test_explain_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert say('甲<break time="1s"/>5 mW', "--explain") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("then 1.00 s")
    change = out.index("unit: '5 mW' -> '五毫瓦'")
    assert "5.6mmol/L" in out[change + 1]


@pytest.mark.parametrize("form", ["flac", "mp3", "opus"])
def test_compressed_formats(bundle: Bundle, bundle_path: Path, tmp_path: Path, form: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    target = tmp_path / f"out.{form}"
    assert say("hello world", "-b", bundle_path, "-o", target, "--voice", "1", *SHORT) == 0
    audio, rate = soundfile.read(str(target))
    assert rate == bundle.sample_rate
    params = bundle.default_params().but(max_new_tokens=12)
    expected = np.clip(bundle.say("hello world", 1, seed=3, params=params), -1, 1)
    if form == "flac":
        np.testing.assert_allclose(audio, expected, atol=1e-3)
    assert abs(len(audio) - len(expected)) < 0.2 * rate
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_standard_output_as_raw_and_as_wav(
    bundle_path: Path, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    assert say("hello world", "-b", bundle_path, "-o", "-", *SHORT) == 0
    raw = capfdbinary.readouterr().out
    assert say("hello world", "-b", bundle_path, "-o", "-", "--format", "wav", *SHORT) == 0
    streamed = capfdbinary.readouterr().out
    assert streamed[:4] == b"RIFF" and streamed[44:] == raw != b""
    assert say("hello world", "-b", bundle_path, "-o", tmp_path / "a.wav", *SHORT) == 0
    with wave.open(str(tmp_path / "a.wav")) as file:
        samples = np.frombuffer(file.readframes(10**6), dtype="<i2")
    np.testing.assert_allclose(samples, np.frombuffer(raw, dtype="<i2"), atol=2)


def test_standard_output_as_flac(
    bundle_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    soundfile = pytest.importorskip("soundfile")
    assert say("hello world", "-b", bundle_path, "-o", "-", "--format", "flac", *SHORT) == 0
    audio, rate = soundfile.read(io.BytesIO(capfdbinary.readouterr().out))
    assert rate == 8000 and len(audio) > 1000


def test_a_player_gets_the_samples(bundle_path: Path, tmp_path: Path) -> None:
    code = 'import sys; open(sys.argv[1], "wb").write(sys.stdin.buffer.read())'
    heard, target = tmp_path / "heard.{rate}", tmp_path / "a.raw"
    arguments: list[str | Path] = ["hello", "-b", bundle_path, "-o", target, *SHORT]
    assert say(*arguments, "--play", shlex.join([sys.executable, "-c", code, str(heard)])) == 0
    assert (tmp_path / "heard.8000").read_bytes() == target.read_bytes() != b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-b", "missing"], "BundleError"),
        ([""], "InputError: the text is empty"),
        (["-f", "x"], "both a text and --file"),
        (["--voice", "bob"], "VoiceError"),
        (["--speed", "12"], "InputError: speed is 12"),
        (["--oral", "77"], "oral is 77"),
        (["--max-new-tokens", "0"], "InputError: max_new_tokens"),
        (["--provider", "Nope"], "ProviderError"),
        (["--play", "no-such-player"], "cannot be started"),
        (["--play", "false"], "false"),
        (["--format", "flac", "--float32", "-o", "OUT/a.flac"], "holds no float samples"),
        (["--transcript", "x"], "--transcript belongs"),
        (["--clone", "no.wav", "--transcript", "x"], "cannot be read"),
        (["--lexicon", "none.yaml"], "lexicon none.yaml"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    text = [] if arguments == [""] else ["hello"]
    given = [a.replace("OUT", str(tmp_path)) for a in arguments]
    common: list[str | Path] = ["-b", bundle_path, "-o", tmp_path / "a.wav", *SHORT]
    assert say(*text, *common, *given) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("hello") == 2
    assert "nowhere to speak to" in capsys.readouterr().err
    assert say("hello", "-o", tmp_path / "a.wav") == 2
    assert "no bundle" in capsys.readouterr().err
    assert say("-f", "none.txt", "-o", tmp_path / "a.wav", "-b", bundle_path) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err


def test_missing_soundfile_is_named(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert say("hello", "-b", bundle_path, "-o", tmp_path / "a.mp3", *SHORT) == 2
    assert "chattts-onnx[audio]" in capsys.readouterr().err


def test_clone_from_a_recording_and_from_what_was_saved(
    bundle: Bundle, bundle_path: Path, tmp_path: Path
) -> None:
    recording, sample = tmp_path / "me.wav", tmp_path / "me.json"
    write_wav(recording, 0.5 * np.sin(np.arange(24000) * 0.05), 16000)
    clone = ["voices", "clone", str(recording), "--transcript", "good", "-b", str(bundle_path)]
    assert cli.main([*clone, "-o", str(sample)]) == 0
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    common: list[str | Path] = ["hello", "-b", bundle_path, *SHORT]
    assert say(*common, "-o", first, "--clone", recording, "--transcript", "good") == 0
    assert say(*common, "-o", second, "--clone", sample) == 0
    assert first.read_bytes() == second.read_bytes()


def test_long_text_from_a_file_and_what_was_left_out(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "book.txt"
    source.write_text("\ufeffhello world. 😀 good morning.\n\none two three. hello.\n", "utf-8")
    target = tmp_path / "book.wav"
    arguments: list[str | Path] = ["-f", source, "-b", bundle_path, "-o", target, "--voice", "1"]
    assert say(*arguments, "--piece-tokens", "4", *SHORT) == 0
    assert "left out: 😀" in capsys.readouterr().err
    with wave.open(str(target)) as file:
        assert file.getnframes() > 4 * 10 * 128


def test_bundle_from_the_environment(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATTTS_BUNDLE", str(bundle_path))
    assert say("hello", "-o", tmp_path / "a.wav", *SHORT) == 0
