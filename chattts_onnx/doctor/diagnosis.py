"""From facts about a machine to findings: what works, what will not, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from .facts import Facts

CUDA = "CUDAExecutionProvider"
# Oldest Linux driver for each CUDA major (NVIDIA's CUDA compatibility guide).
_DRIVERS = {11: (450, 80), 12: (525, 60), 13: (580, 65)}
_MIN_PYTHON = (3, 11)
_MIN_MEMORY = 1 << 30


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis: what was found, and for trouble what to do."""

    level: Level
    what: str
    remedy: str = ""


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, in the order in which one would look."""
    checks: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
        _python,
        _runtime,
        _gpu,
        _cuda_libraries,
        _torch,
        _processor,
        _library,
        _threads,
        _memory,
        _extras,
    )
    return [finding for check in checks for finding in check(facts)]


def compare_tools(facts: Facts, tools: Mapping[str, str]) -> Iterator[Finding]:
    """What differs of the packages that a bundle was made and judged with (its ``tools``).

    Kernels of another ONNX Runtime round differently, and so a seed may say something else.
    """
    names = {"numpy": "numpy", "onnxruntime": "onnxruntime", "tokenizers": "tokenizers"}
    if facts.packages.get("onnxruntime-gpu"):
        names["onnxruntime"] = "onnxruntime-gpu"
    for tool, package in names.items():
        here, made = facts.packages.get(package), tools.get(tool)
        if here and made and here != made:
            yield Finding(
                Level.NOTE,
                f"{package} {here}; the bundle was made and judged with {made}",
                f"pip install {package}=={made} for exactly what was judged.",
            )


def _python(facts: Facts) -> Iterator[Finding]:
    version = ".".join(map(str, facts.python))
    if facts.python[:2] < _MIN_PYTHON:
        yield Finding(Level.ERROR, f"Python {version}", "Python 3.11 or newer is needed.")
    else:
        yield Finding(Level.OK, f"Python {version} on {facts.system}")
    for name in ("numpy", "tokenizers"):
        version_ = facts.packages.get(name)
        if version_ is None:
            yield Finding(Level.ERROR, f"{name} is not installed", f"pip install {name}")
        else:
            yield Finding(Level.OK, f"{name} {version_}")


def _runtime(facts: Facts) -> Iterator[Finding]:
    cpu, gpu = facts.packages.get("onnxruntime"), facts.packages.get("onnxruntime-gpu")
    if cpu and gpu:
        yield Finding(
            Level.ERROR,
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed; they write the same "
            "files, and which one runs depends on which came last",
            "pip uninstall onnxruntime onnxruntime-gpu, then install one of them.",
        )
    elif not cpu and not gpu:
        yield Finding(
            Level.ERROR, "no ONNX Runtime", "pip install onnxruntime (or onnxruntime-gpu)"
        )
    if facts.import_error:
        yield Finding(
            Level.ERROR,
            f"onnxruntime cannot be imported: {facts.import_error}",
            "pip install --force-reinstall the one that you want.",
        )
    elif cpu or gpu:
        name = f"onnxruntime-gpu {gpu}" if gpu else f"onnxruntime {cpu}"
        yield Finding(Level.OK, f"{name}: {', '.join(facts.providers)}")


def _gpu(facts: Facts) -> Iterator[Finding]:
    offered = CUDA in facts.providers
    if facts.driver is None:
        if offered:
            yield Finding(
                Level.WARNING,
                "onnxruntime-gpu without an NVIDIA driver: the CUDA provider will not start",
                "Install the driver (in a container: run it with --gpus all), or use onnxruntime.",
            )
        return
    names = ", ".join(facts.gpus) or "no GPU listed"
    yield Finding(Level.OK, f"NVIDIA driver {facts.driver}: {names}")
    if not offered:
        yield Finding(
            Level.WARNING,
            "there is an NVIDIA GPU, but this ONNX Runtime has no CUDA provider",
            "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'.",
        )
        return
    if facts.environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        yield Finding(
            Level.WARNING,
            "CUDA_VISIBLE_DEVICES hides every GPU",
            "Unset it, or set it to the GPU's number.",
        )
    major = _cuda_major(facts)
    if major in _DRIVERS and _numbers(facts.driver) < _DRIVERS[major]:
        needed = ".".join(map(str, _DRIVERS[major]))
        yield Finding(
            Level.ERROR,
            f"driver {facts.driver} is too old for CUDA {major}, which this ONNX Runtime uses",
            f"Update the driver to {needed} or newer, or install an onnxruntime-gpu built for an "
            "older CUDA.",
        )


def _cuda_libraries(facts: Facts) -> Iterator[Finding]:
    if not facts.cuda_libraries or facts.driver is None:
        return
    missing = [name for name, path in facts.cuda_libraries.items() if path is None]
    if not missing:
        yield Finding(Level.OK, f"CUDA libraries: {', '.join(facts.cuda_libraries)}")
        return
    yield Finding(
        Level.ERROR,
        f"the CUDA provider needs {', '.join(missing)}, not found on this machine",
        "pip install 'onnxruntime-gpu[cuda,cudnn]', or add their folder to LD_LIBRARY_PATH.",
    )


def _torch(facts: Facts) -> Iterator[Finding]:
    major = _cuda_major(facts)
    if facts.torch_cuda is None or major is None or CUDA not in facts.providers:
        return
    if _numbers(facts.torch_cuda)[:1] != (major,):
        yield Finding(
            Level.WARNING,
            f"torch {facts.packages.get('torch')} uses CUDA {facts.torch_cuda}, ONNX Runtime CUDA "
            f"{major}: in one process whichever loads first breaks the other",
            "Keep them in environments of their own, or install builds for one CUDA major.",
        )


def _processor(facts: Facts) -> Iterator[Finding]:
    if not facts.flags:
        yield Finding(Level.NOTE, f"{facts.processor or 'processor'}: instruction sets unknown")
        return
    wanted = ("avx2", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp")
    sets = [name for name in wanted if name in facts.flags]
    yield Finding(Level.OK, f"{facts.processor}: {', '.join(sets) or 'no vector extensions'}")
    arm = "asimd" in facts.flags
    if not arm and "avx2" not in facts.flags:
        yield Finding(Level.WARNING, "no AVX2: inference will be several times slower", "")
    elif not arm and not facts.flags & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        yield Finding(
            Level.NOTE,
            "no VNNI: INT8 bundles must be built with reduced range (target cpu) or they saturate",
        )


def _library(facts: Facts) -> Iterator[Finding]:
    if facts.instructions:
        yield Finding(Level.OK, f"compiled decoding step: {facts.instructions}")
    else:
        reason = facts.no_library or "no library"
        yield Finding(
            Level.NOTE,
            f"ONNX Runtime runs the decoding steps: {reason}",
            "pip install ./native in a checkout: on CPUs it is faster.",
        )


def _threads(facts: Facts) -> Iterator[Finding]:
    yield Finding(Level.OK, f"{facts.usable_cores} of {facts.logical_cores} logical cores in use")
    value = facts.environment.get("OMP_NUM_THREADS", "")
    if value.isdecimal() and int(value) > facts.usable_cores:
        yield Finding(
            Level.WARNING,
            f"OMP_NUM_THREADS is {value}, but only {facts.usable_cores} cores may be used",
            "Unset it, or set it to that number.",
        )


def _memory(facts: Facts) -> Iterator[Finding]:
    if not facts.memory:
        return
    free, total = facts.available_memory / 2**30, facts.memory / 2**30
    line = f"{free:.1f} of {total:.1f} GiB of memory free"
    if facts.available_memory < _MIN_MEMORY:
        yield Finding(Level.WARNING, line, "An FP32 bundle needs 1 GiB; take an INT8 one.")
    else:
        yield Finding(Level.OK, line)


def _extras(facts: Facts) -> Iterator[Finding]:
    purposes = {
        "wetext": "rare units are spelled; chattts-onnx[text] brings it",
        "PyYAML": "lexicons must be JSON; chattts-onnx[text] brings it",
        "python-calamine": "no .xlsx voices, save them as CSV; chattts-onnx[sheets] brings it",
        "soundfile": "only WAV is read and written; chattts-onnx[audio] brings it",
    }
    for name, without in purposes.items():
        version = facts.packages.get(name)
        if version:
            yield Finding(Level.OK, f"{name} {version}")
        else:
            yield Finding(Level.NOTE, f"no {name}: {without}")


def _cuda_major(facts: Facts) -> int | None:
    """The CUDA major that ONNX Runtime links to, told by its runtime library's name."""
    for name in facts.cuda_libraries:
        if match := re.fullmatch(r"lib(?:cudart|cublas|cublasLt)\.so\.(\d+)", name):
            return int(match.group(1))
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
