"""What can be read from this machine without starting a GPU or loading a graph."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .elf import needed_libraries

PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "tokenizers",
    "wetext",
    "PyYAML",
    "python-calamine",
    "soundfile",
    "torch",
)
_CUDA_PROVIDER = "libonnxruntime_providers_cuda.so"
_CUDA_LIBRARY = re.compile(r"lib(?:cu|nv)\w+\.so\.\d+")
_LOADED_BY_DRIVER = ("libcuda.so.1",)


@dataclass(frozen=True)
class Facts:
    """Everything :func:`.diagnose` looks at.

    ``packages`` maps distributions to versions (None: absent); ``providers`` is what ONNX Runtime
    offers, ``import_error`` why it could not be asked.  ``driver`` is the NVIDIA driver's version,
    ``cuda_libraries`` each library that the CUDA provider needs with where it was found.
    ``flags`` are the processor's instruction sets; ``instructions`` those that the compiled library
    would use, or ``no_library`` why there is none.  ``memory`` and ``available_memory`` in bytes.
    """

    python: tuple[int, int, int] = (3, 11, 0)
    system: str = "Linux x86_64"
    packages: Mapping[str, str | None] = field(default_factory=dict)
    providers: tuple[str, ...] = ()
    import_error: str | None = None
    driver: str | None = None
    gpus: tuple[str, ...] = ()
    cuda_libraries: Mapping[str, str | None] = field(default_factory=dict)
    torch_cuda: str | None = None
    processor: str = ""
    flags: frozenset[str] = frozenset()
    instructions: str | None = None
    no_library: str = ""
    logical_cores: int = 1
    usable_cores: int = 1
    memory: int = 0
    available_memory: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


def gather() -> Facts:
    """Look at this machine; what cannot be read is left at "unknown"."""
    providers, error = _providers()
    info = _cpuinfo()
    memory = _meminfo()
    instructions, no_library = _library()
    return Facts(
        python=sys.version_info[:3],
        system=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in PACKAGES},
        providers=providers,
        import_error=error,
        driver=_driver(),
        gpus=_gpus(),
        cuda_libraries=_cuda_libraries(),
        torch_cuda=_torch_cuda(),
        processor=info[0],
        flags=info[1],
        instructions=instructions,
        no_library=no_library,
        logical_cores=os.cpu_count() or 1,
        usable_cores=_usable_cores(error),
        memory=memory.get("MemTotal", 0),
        available_memory=memory.get("MemAvailable", 0),
        environment={
            name: os.environ[name]
            for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
            if name in os.environ
        },
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _providers() -> tuple[tuple[str, ...], str | None]:
    try:
        import onnxruntime

        return tuple(onnxruntime.get_available_providers()), None
    except Exception as error:  # two wheels over one another fail in many ways
        return (), f"{type(error).__name__}: {error}"


def _library() -> tuple[str | None, str]:
    from ..native.library import UnavailableError, instructions, load

    try:
        return instructions(load()), ""
    except UnavailableError as error:
        return None, str(error)


def _usable_cores(import_error: str | None) -> int:
    if import_error is not None:
        return os.cpu_count() or 1
    from ..graphs.sessions import available_cores

    return available_cores()


def _driver() -> str | None:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return next(iter(_smi("driver_version")), None)
    return parse_driver(text)


def parse_driver(text: str) -> str | None:
    """The version in ``/proc/driver/nvidia/version``, of closed and open kernel modules."""
    found = re.search(r"(?:Module|for \S+)\s+(\d+\.\d+(?:\.\d+)?)", text)
    return found.group(1) if found else None


def _gpus() -> tuple[str, ...]:
    return tuple(_smi("name,memory.total")) if _driver() else ()


def _smi(query: str) -> list[str]:
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _cuda_libraries() -> dict[str, str | None]:
    """What the CUDA provider links to; empty where this ONNX Runtime has none."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return {}
    provider = Path(spec.origin).parent / "capi" / _CUDA_PROVIDER
    if not provider.is_file():
        return {}
    names = [n for n in needed_libraries(provider) if _CUDA_LIBRARY.match(n)]
    return {name: find_library(name) for name in names if name not in _LOADED_BY_DRIVER}


def find_library(name: str) -> str | None:
    """Where the loader or ONNX Runtime's ``preload_dlls`` would find a library."""
    folders = [Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p]
    for entry in sys.path:
        nvidia = Path(entry) / "nvidia"
        if nvidia.is_dir():
            folders += [*nvidia.glob("*/lib"), *nvidia.glob("*/lib/x86_64-linux-gnu")]
    folders += [
        Path("/usr/local/cuda/lib64"),
        Path("/usr/lib/x86_64-linux-gnu"),
        Path("/usr/lib64"),
    ]
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    return None


def _torch_cuda() -> str | None:
    """CUDA version of an installed torch, read from its version file without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda[^=]*=\s*'([\d.]+)'", text, re.MULTILINE)
    return found.group(1) if found else None


def _cpuinfo() -> tuple[str, frozenset[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor(), frozenset()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return (
        name.group(1) if name else platform.processor(),
        frozenset(flags.group(1).split()) if flags else frozenset(),
    )


def _meminfo() -> dict[str, int]:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return {}
    return {m[0]: int(m[1]) * 1024 for m in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
