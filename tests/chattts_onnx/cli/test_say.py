from __future__ import annotations

import io
import resource
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, cli, open_bundle
from chattts_onnx.format.abilities import AbilityWarning
from chattts_onnx.format.manifest import Manifest

ROOT = Path(__file__).parents[3]


def say(*arguments: str | Path) -> int:
    return cli.main(["say", *map(str, arguments), "--threads", "1"])


def test_say_writes_the_bundle_s_speech(bundle: Bundle, bundle_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    options: list[str | Path] = ["-b", bundle_path, "-o", target]
    options += ["--voice", "anna", "--seed", "3", "--speed", "5"]
    assert say("hello world", *options) == 0
    with wave.open(str(target)) as file:
        samples = np.frombuffer(file.readframes(10**6), dtype="<i2")
        assert file.getframerate() == bundle.sample_rate
    expected = bundle.say("hello world", voice="anna", seed=3, speed=5)
    np.testing.assert_allclose(samples / 32767, np.clip(expected, -1, 1), atol=1e-3)
    first = target.read_bytes()
    assert say("hello world", *options, "--stream") == 0
    assert len(first) == len(target.read_bytes())


def test_what_the_checkpoint_cannot_do_is_told(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, manifest = own, Manifest.load(own)
    english = {"domain": "Greetings.", "languages": ["en"], "options": []}
    replace(manifest, checkpoint={**manifest.checkpoint, "abilities": english}).write(folder)
    assert say("你好", "-b", folder, "-o", tmp_path / "out.wav", "--speed", "5") == 0
    told = capsys.readouterr().err
    assert "warning: the checkpoint" in told and "not trained on Mandarin" in told
    assert "warning: speed has no effect" in told
    with pytest.warns(AbilityWarning, match="speed has no effect"):
        open_bundle(folder, threads=1).say("hello", speed=5)


def test_text_from_file_and_standard_input(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, sizes = tmp_path / "text.txt", []
    text.write_text("你好 world", encoding="utf-8")
    sources: list[list[str | Path]] = [["你好 world"], ["-f", text], ["-"], []]
    for source in sources:
        monkeypatch.setattr(sys, "stdin", io.StringIO("你好 world\n"))
        assert say(*source, "-b", bundle_path, "-o", tmp_path / "o.wav", "--seed", "1") == 0
        sizes.append((tmp_path / "o.wav").stat().st_size)
    assert len(set(sizes)) == 1


def test_unwritable_output_is_said_before_the_work(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("hello", "-b", "missing", "-o", tmp_path / "none" / "o.wav") == 2
    assert "does not exist" in capsys.readouterr().err
    assert say("hello", "-b", "missing", "-o", tmp_path) == 2
    assert "is a folder" in capsys.readouterr().err


def test_module_runs_streams_to_stdout_and_needs_no_torch(
    bundle: Bundle, bundle_path: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("torch", "transformers", "onnx", "pipeline", "hydra", "mlflow"):
        (blocked / f"{name}.py").write_text("raise ImportError('blocked by the test')")
    command = [sys.executable, "-m", "chattts_onnx", "say", "hello world", "--threads", "1"]
    command += ["-b", str(bundle_path), "-o", "-", "--seed", "3"]
    done = subprocess.run(
        command,
        capture_output=True,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{blocked}:{ROOT}", "PATH": ""},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    samples = np.frombuffer(done.stdout, dtype="<i2") / 32767
    expected = np.clip(bundle.say("hello world", seed=3), -1, 1)
    np.testing.assert_allclose(samples, expected, atol=1e-3)


def test_package_imports_only_what_it_needs() -> None:
    code = (
        "import sys, chattts_onnx.cli, chattts_onnx.bundle, chattts_onnx.speech.engine\n"
        "bad = {'torch', 'transformers', 'pipeline', 'onnx', 'scipy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imports {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_is_said_in_one_line(
    form: str, room: int, bundle_path: Path, tmp_path: Path
) -> None:
    """A limit of file size raises where a full disk does."""
    target = tmp_path / f"out.{form}"
    target.write_bytes(b"earlier")
    words = ["say", "hello world", "-b", str(bundle_path), "-o", str(target), "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "chattts_onnx", *words, "--seed", "1"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "Make room" in done.stderr
    assert target.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
