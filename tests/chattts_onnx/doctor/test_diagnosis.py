"""Trouble is found from facts alone, so every machine can be tested on this one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chattts_onnx.doctor import Facts, Level, compare_tools, diagnose

CPU = Facts(
    python=(3, 11, 7),
    packages={"numpy": "2.4", "tokenizers": "0.23", "onnxruntime": "1.31.1", "wetext": "0.1.8"}
    | {"PyYAML": "6", "soundfile": "0.14"},
    providers=("CPUExecutionProvider",),
    processor="A processor",
    flags=frozenset({"avx2", "avx512_vnni"}),
    instructions="avx512-vnni",
    logical_cores=8,
    usable_cores=4,
    memory=16 << 30,
    available_memory=8 << 30,
)
CUDA_13 = {
    "libcudart.so.13": "/x/libcudart.so.13",
    "libcublas.so.13": "/x/libcublas.so.13",
    "libcudnn.so.9": "/x/libcudnn.so.9",
}
GPU = replace(
    CPU,
    packages={**CPU.packages, "onnxruntime": None, "onnxruntime-gpu": "1.31.1"},
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    driver="580.82.07",
    gpus=("NVIDIA H200, 143771 MiB",),
    cuda_libraries=CUDA_13,
)


def troubles(facts: Facts) -> list[tuple[Level, str]]:
    bad = (Level.WARNING, Level.ERROR)
    return [(f.level, f"{f.what} {f.remedy}") for f in diagnose(facts) if f.level in bad]


@pytest.mark.parametrize("facts", [CPU, GPU])
def test_a_healthy_machine_has_no_trouble(facts: Facts) -> None:
    assert troubles(facts) == []


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (replace(CPU, python=(3, 9, 1)), Level.ERROR, "3.11 or newer"),
        (
            replace(CPU, packages={**CPU.packages, "onnxruntime-gpu": "1.31.1"}),
            Level.ERROR,
            "pip uninstall onnxruntime onnxruntime-gpu",
        ),
        (
            replace(CPU, packages={**CPU.packages, "onnxruntime": None}),
            Level.ERROR,
            "no ONNX Runtime",
        ),
        (replace(CPU, packages={**CPU.packages, "numpy": None}), Level.ERROR, "pip install numpy"),
        (replace(CPU, import_error="ImportError: x"), Level.ERROR, "cannot be imported"),
        (replace(CPU, driver="580.82"), Level.WARNING, "no CUDA provider"),
        (replace(GPU, driver=None), Level.WARNING, "without an NVIDIA driver"),
        (replace(GPU, driver="550.54.14"), Level.ERROR, "too old for CUDA 13"),
        (
            replace(GPU, cuda_libraries={**CUDA_13, "libcudnn.so.9": None}),
            Level.ERROR,
            "needs libcudnn.so.9, not found",
        ),
        (
            replace(GPU, torch_cuda="12.8", packages={**GPU.packages, "torch": "2.9"}),
            Level.WARNING,
            "torch 2.9 uses CUDA 12.8",
        ),
        (
            replace(GPU, environment={"CUDA_VISIBLE_DEVICES": ""}),
            Level.WARNING,
            "hides every GPU",
        ),
        (replace(CPU, flags=frozenset({"sse2"})), Level.WARNING, "no AVX2"),
        (replace(CPU, environment={"OMP_NUM_THREADS": "64"}), Level.WARNING, "OMP_NUM_THREADS"),
        (replace(CPU, available_memory=100 << 20), Level.WARNING, "needs 1 GiB"),
    ],
)
def test_each_trouble_is_found_alone(facts: Facts, level: Level, words: str) -> None:
    found = troubles(facts)
    assert len(found) == 1 and found[0][0] is level and words in found[0][1]


def test_notes_are_no_trouble() -> None:
    plain = replace(
        CPU,
        flags=frozenset({"avx2"}),
        packages={**CPU.packages, "wetext": None, "python-calamine": "0.9.1"},
    )
    notes = [f.what for f in diagnose(plain) if f.level is Level.NOTE]
    assert len(notes) == 2 and "reduced range" in notes[0] and "chattts-onnx[text]" in notes[1]
    assert troubles(replace(GPU, torch_cuda="13.0")) == []


def test_what_runs_the_steps_is_said() -> None:
    found = {f.what: f.level for f in diagnose(CPU)}
    assert found["compiled decoding step: avx512-vnni"] is Level.OK
    reason = "the package chattts-onnx-native is not installed"
    found = {f.what: f.level for f in diagnose(replace(CPU, instructions=None, no_library=reason))}
    assert found[f"ONNX Runtime runs the decoding steps: {reason}"] is Level.NOTE


def test_driver_is_read_from_the_kernel_s_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chattts_onnx.doctor import facts

    words = [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build",
    ]
    for text, version in zip(words, ("550.54.14", "580.82.07"), strict=True):
        assert facts.parse_driver(text) == version
    assert facts.parse_driver("nothing") is None


@pytest.mark.parametrize(("facts", "package"), [(CPU, "onnxruntime"), (GPU, "onnxruntime-gpu")])
def test_what_differs_from_a_bundle_s_tools_is_said(facts: Facts, package: str) -> None:
    tools = {"numpy": "2.4", "onnxruntime": "1.30.0", "torch": "9"}
    (found,) = compare_tools(facts, tools)
    assert f"{package} 1.31.1; the bundle was made and judged with 1.30.0" in found.what
    assert f"{package}==1.30.0" in found.remedy
    assert not list(compare_tools(facts, {**tools, "onnxruntime": "1.31.1"}))
