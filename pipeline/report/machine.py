"""The machine and the tools a measurement was made with, as a report's context states them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ISA_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "asimddp",
    "i8mm",
)
"""Instruction sets that decide which matrix kernels ONNX Runtime picks."""

TOOLS = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxconverter-common",
    "numpy",
    "tokenizers",
)


def machine_context() -> dict[str, Any]:
    """CPU model, usable cores, instruction sets, memory in bytes, operating system and Python."""
    cpu = _first_fields(Path("/proc/cpuinfo"))
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "memory_bytes": _memory_bytes(),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def usable_cores() -> int:
    """Cores this process may run on (a container may hold fewer than the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tool_versions(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Versions of the installed ones among ``names``."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


LOAD = Path("/proc/loadavg")
SAMPLES, SAMPLE_SECONDS = 20, 0.1


def machine_load() -> float | None:
    """Processes besides this one that want a core now, None where that is not known.

    Linux counts those at this moment, which are averaged over two seconds. Elsewhere it is the mean
    of the last minute, which what ran before has a part in.
    """
    if not LOAD.is_file():
        return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    total = 0
    for _ in range(SAMPLES):
        # "0.20 0.18 0.12 1/80 11206": one of 80 runs, this one
        total += int(LOAD.read_text(encoding="utf-8").split()[3].split("/")[0]) - 1
        time.sleep(SAMPLE_SECONDS)
    return round(total / SAMPLES, 2)


def is_busy(load: float | None, cores: int) -> bool:
    """Whether so many others take cores from a measurement."""
    return load is not None and load > cores / 2


def idle_load(seconds: float) -> float | None:
    """The load, as soon as it is one of an idle machine, or after ``seconds`` whatever it is."""
    until = time.monotonic() + seconds
    while True:
        load = machine_load()
        if not is_busy(load, usable_cores()) or time.monotonic() >= until:
            return load


def busy_note(context: Mapping[str, Any]) -> list[str]:
    """Markdown that warns where other processes took cores from a measurement; [] if none did."""
    load, cores = context.get("load"), context.get("machine", {}).get("cores", 1)
    if not is_busy(load, cores):
        return []
    return [
        f"**Busy machine**: beside this measurement {load:g} processes wanted its {cores} cores. "
        "The figures are low, and ratios uncertain; measure again on an idle one."
    ]


def peak_memory_bytes() -> int:
    """Highest resident memory of this process so far, in bytes.

    ``VmHWM`` on Linux (``ru_maxrss`` of a forked child starts at its parent's value there);
    ``ru_maxrss`` elsewhere.
    """
    status = _first_fields(Path("/proc/self/status"))
    if "VmHWM" in status:
        return int(status["VmHWM"].split()[0]) * 1024
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _memory_bytes() -> int:
    meminfo = _first_fields(Path("/proc/meminfo"))
    if "MemTotal" in meminfo:
        return int(meminfo["MemTotal"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first_fields(path: Path) -> dict[str, str]:
    """``key: value`` lines of a /proc file; the first of repeated keys, {} where there is none."""
    fields: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return fields
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields
