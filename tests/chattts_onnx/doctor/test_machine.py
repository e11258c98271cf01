"""The parts of the doctor that look at this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from chattts_onnx import cli
from chattts_onnx.doctor import gather, self_test
from chattts_onnx.doctor.elf import needed_libraries
from chattts_onnx.doctor.selftest import matmul_model
from tests.chattts_onnx import tiny_bundle


def test_gathered_facts_fit_this_machine() -> None:
    facts = gather()
    assert facts.python == sys.version_info[:3]
    assert facts.packages["numpy"] == np.__version__
    assert facts.providers == tuple(ort.get_available_providers()) and facts.import_error is None
    assert 1 <= facts.usable_cores <= facts.logical_cores
    assert facts.memory == 0 or 0 < facts.available_memory <= facts.memory


def test_the_written_model_is_valid_and_multiplies() -> None:
    model = onnx.load_from_string(matmul_model())
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(matmul_model(), providers=["CPUExecutionProvider"])
    a = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(session.run(None, {"a": a, "b": a})[0], a @ a)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ELF is Linux's")
def test_libraries_of_a_real_file(tmp_path: Path) -> None:
    module = next((Path(ort.__file__).parent / "capi").glob("onnxruntime_pybind11_state*.so"))
    needed = needed_libraries(module)
    assert "libc.so.6" in needed and all(".so" in name for name in needed)
    (tmp_path / "a.so").write_bytes(b"\x7fELF\x02\x01" + b"\0" * 80)
    (tmp_path / "b.so").write_bytes(b"text")
    for name in ("a.so", "b.so", "none.so"):
        assert needed_libraries(tmp_path / name) == []


def test_self_test_speaks_and_finds_a_damaged_bundle(bundle_path: Path, tmp_path: Path) -> None:
    product, speech = self_test(bundle_path, seconds=0.1)
    assert product.ok and "GFLOP/s" in product.line
    assert speech.ok and "steps/s" in speech.line and "(tiny)" in speech.line
    product, speech = self_test(tmp_path, seconds=0.05)
    assert product.ok and not speech.ok and "manifest.json not found" in speech.line


def test_self_test_fits_into_the_models_positions(tmp_path: Path) -> None:
    """Half of what a bundle says at most may be more than its model has room for."""
    manifest = tiny_bundle.build(tmp_path / "short")
    code = {**manifest.generation["code"], "max_new_tokens": 4 * tiny_bundle.POSITIONS}
    replace(manifest, generation={**manifest.generation, "code": code}).write(tmp_path / "short")
    _, speech = self_test(tmp_path / "short", seconds=0.05)
    assert speech.ok, speech.line


def test_command_prints_and_tells_by_its_status(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chattts_onnx.doctor import selftest

    monkeypatch.setattr(selftest.self_test, "__defaults__", (0.05,))
    assert cli.main(["doctor", "-b", str(bundle_path)]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime" in out and "steps/s" in out
    assert cli.main(["doctor", "-b", str(tmp_path)]) == 1
    assert "error" in capsys.readouterr().out
    assert cli.main(["doctor", "--json", "--no-self-test"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"level", "what", "remedy"} == set(rows[0])
