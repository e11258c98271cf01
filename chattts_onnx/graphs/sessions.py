"""Opening ONNX Runtime sessions: providers, threads, and which provider ran what."""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..errors import BundleError, InputError, ProviderError
from ..format.external_data import external_files
from ..format.manifest import GraphInfo
from ..untrusted import brief, brief_text
from .huge_pages import huge_pages

Provider = str | tuple[str, Mapping[str, Any]]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

# Without the strict mode the FP16 kernel squares in FP16 and silently yields zeros for large
# activations (ONNX Runtime issue 29034).  Growing the arena by exactly what is asked avoids its
# doubling, which is worth a gigabyte with a KV cache.
_DEFAULT_OPTIONS: dict[str, dict[str, str]] = {
    CUDA: {
        "enable_skip_layer_norm_strict_mode": "1",
        "arena_extend_strategy": "kSameAsRequested",
    },
}

_CUDA_GRAPH = "enable_cuda_graph"

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


AUDIO_GRAPHS = frozenset({"decoder", "dvae_decode", "dvae_encode", "vocos"})


@dataclass(frozen=True)
class SessionConfig:
    """How sessions are opened.

    ``threads`` counts intra-op threads, ``audio_threads`` those of the graphs that make or read
    audio (None: as many).  With ``spinning`` idle pool threads spin during a run
    (faster steps) and stop when it returns; without it they always sleep.  ``config`` entries go
    to ONNX Runtime's session options as they are.  ``device_sampling`` draws codes on the GPU
    where one is used.  ``huge_pages`` moves weights on the CPU to huge pages, see
    :mod:`chattts_onnx.graphs.huge_pages`.  ``step`` is what runs the GPT's steps, see
    :mod:`chattts_onnx.native.step`.
    """

    providers: tuple[tuple[str, dict[str, Any]], ...]
    threads: int
    spinning: bool = True
    record_assignment: bool = False
    config: Mapping[str, str] = field(default_factory=dict)
    device_sampling: bool = True
    audio_threads: int | None = None
    huge_pages: bool = False
    step: str = "auto"

    @property
    def device(self) -> str:
        """``"cuda"`` when the first provider keeps tensors on an NVIDIA GPU, else ``"cpu"``."""
        return "cuda" if self.providers[0][0] in (CUDA, TENSORRT) else "cpu"

    def for_graph(self, name: str) -> SessionConfig:
        """The settings of one graph's session."""
        if self.audio_threads is None or name not in AUDIO_GRAPHS:
            return self
        return replace(self, threads=self.audio_threads)

    @property
    def device_id(self) -> int:
        """Index of the GPU in use (0 on CPU)."""
        return int(self.providers[0][1].get("device_id", 0))

    @property
    def cuda_graph(self) -> bool:
        """Whether steps are replayed as CUDA graphs (provider option ``enable_cuda_graph``)."""
        return str(self.providers[0][1].get(_CUDA_GRAPH, "0")).lower() in ("1", "true")


def available_cores() -> int:
    """Physical cores this process may use: affinity, SMT siblings and the cgroup CPU quota."""
    allowed = (
        os.sched_getaffinity(0)
        if hasattr(os, "sched_getaffinity")
        else set(range(os.cpu_count() or 1))
    )
    siblings = set()
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(path.read_text(encoding="ascii").strip())
        except OSError:
            siblings.add(str(cpu))
    return max(1, min(len(siblings), _cgroup_quota() or len(siblings)))


def _cgroup_quota() -> int | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def choose_threads(threads: int | None) -> int:
    """The given positive count, or the machine's available physical cores."""
    if threads is None:
        return available_cores()
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads is {threads!r}; expected a whole number of at least 1, or None.")
    return threads


def choose_providers(
    requested: Sequence[Provider] | None,
) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Providers with options, in order of preference; CPU always last as the fallback.

    ``None`` takes CUDA where ONNX Runtime offers it, CPU otherwise.  An explicitly requested
    provider that is not offered raises :class:`ProviderError`.
    """
    offered = ort.get_available_providers()
    if requested is None:
        requested = [CUDA, CPU] if CUDA in offered else [CPU]
    if isinstance(requested, str) or not requested:
        raise InputError(f"providers is {requested!r}; expected a list such as ['{CPU}'].")
    chosen: list[tuple[str, dict[str, Any]]] = []
    for entry in requested:
        name, options = (entry, {}) if isinstance(entry, str) else (entry[0], dict(entry[1]))
        if name not in offered:
            raise ProviderError(
                f"{name} is not offered by this ONNX Runtime {ort.__version__} "
                f"(it offers {', '.join(offered)}). For CUDA install onnxruntime-gpu in place of "
                "onnxruntime; or ask for one that is offered."
            )
        chosen.append((name, {**_DEFAULT_OPTIONS.get(name, {}), **options}))
    if all(name != CPU for name, _ in chosen):
        chosen.append((CPU, {}))
    return tuple(chosen)


def session_options(config: SessionConfig) -> ort.SessionOptions:
    """ONNX Runtime's options for ``config``; one inter-op thread, since the graphs are chains."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(config.spinning)))
    options.add_session_config_entry("session.force_spinning_stop", str(int(config.spinning)))
    if config.record_assignment:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for key, value in config.config.items():
        options.add_session_config_entry(key, value)
    return options


def plain_providers(config: SessionConfig) -> list[tuple[str, dict[str, Any]]]:
    """Providers for graphs of changing shapes, which cannot be captured as CUDA graphs."""
    return [
        (name, {key: value for key, value in options.items() if key != _CUDA_GRAPH})
        for name, options in config.providers
    ]


def step_providers(config: SessionConfig) -> list[tuple[str, dict[str, Any]]]:
    """Providers for the step, with everything that was asked for."""
    return [(name, dict(options)) for name, options in config.providers]


def open_session(path: Path, graph: GraphInfo, config: SessionConfig) -> ort.InferenceSession:
    """Open one graph and check its interface against the manifest.

    Raises :class:`BundleError` when ONNX Runtime cannot load it, its weights lie in another file
    than the manifest says or the interface differs, and :class:`ProviderError` when the first
    provider could not be started.
    """
    check_external_data(path, graph.data)
    with huge_pages(config.huge_pages and config.device == "cpu"):
        session = create_session(path, str(path), plain_providers(config), session_options(config))
    _check_interface(path, session, graph)
    return session


def check_external_data(path: Path, data: str | None) -> None:
    """:class:`BundleError` unless all weights of a graph lie in it or in the file ``data``."""
    try:
        with path.open("rb") as stream:
            # Mapped, since a graph may hold its weights itself.
            found = external_files(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (BundleError, OSError, ValueError) as error:
        raise BundleError(f"{path} is no ONNX graph: {error} Copy the bundle again.") from error
    if strange := sorted(found - {data}):
        raise BundleError(
            f"{path}: weights are to lie in {brief(strange)}, which the manifest does not name for "
            f"this graph ({brief(data)}); refused, since nothing checked that file."
        )


def create_session(
    path: Path,
    model: str | bytes,
    providers: list[tuple[str, dict[str, Any]]],
    options: ort.SessionOptions,
) -> ort.InferenceSession:
    """Start a session over ``model``, a file's name or an encoded model made from ``path``.

    Raises :class:`BundleError` when ONNX Runtime cannot load it and :class:`ProviderError` when
    the first provider could not be started.
    """
    wanted = providers[0][0]
    if wanted in (CUDA, TENSORRT) and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    try:
        session = ort.InferenceSession(model, sess_options=options, providers=providers)
    except Exception as error:
        raise BundleError(
            f"{path}: ONNX Runtime {ort.__version__} cannot load it: {brief_text(error)}"
        ) from error
    if wanted not in session.get_providers():
        raise ProviderError(
            f"{wanted} could not be started for {path.name}; ONNX Runtime fell back to "
            f"{', '.join(session.get_providers())}. Check the driver and the CUDA and cuDNN "
            "libraries, or ask for CPUExecutionProvider."
        )
    return session


def _check_interface(path: Path, session: ort.InferenceSession, graph: GraphInfo) -> None:
    for side, found, expected in (
        ("input", session.get_inputs(), graph.inputs),
        ("output", session.get_outputs(), graph.outputs),
    ):
        have = {arg.name: _DTYPES.get(arg.type, arg.type) for arg in found}
        want = {tensor.name: tensor.dtype for tensor in expected}
        if have != want:
            wrong = brief(sorted(set(have.items()) ^ set(want.items())))
            raise BundleError(
                f"{path}: {side}s differ from the manifest at {wrong}. Graph and manifest do not "
                "belong together; copy or build the bundle again."
            )


def node_assignment(session: ort.InferenceSession) -> dict[str, dict[str, int]]:
    """Node counts per provider and operator type, as assigned when the session was opened.

    The session must have been opened with ``record_assignment``.
    """
    counts: dict[str, Counter[str]] = {}
    for subgraph in session.get_provider_graph_assignment_info():
        counter = counts.setdefault(subgraph.ep_name, Counter())
        for node in subgraph.get_nodes():
            domain = f"{node.domain}::" if node.domain else ""
            counter[f"{domain}{node.op_type}"] += 1
    return {name: dict(sorted(counter.items())) for name, counter in sorted(counts.items())}
