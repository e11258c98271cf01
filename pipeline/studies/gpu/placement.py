"""Which provider runs each node, and whether a graph runs without the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnxruntime as ort

from chattts_onnx.decoding.device_step import open_step_session
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.graphs.sessions import (
    SessionConfig,
    choose_providers,
    choose_threads,
    create_session,
    node_assignment,
    plain_providers,
    session_options,
)
from pipeline.benchmark.device import providers
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.device import captured_log
from pipeline.studies.gpu.setup import Setup

STEP = "gpt+sampler"
MEMCPY = "Memcpy nodes are added"


def placement(setup: Setup, variant: str) -> Iterator[Row]:
    """Nodes by provider, copies between host and device, and whether no CPU node is needed."""
    manifest = Manifest.load(setup.bundle(variant), verify=False)
    config = SessionConfig(
        choose_providers(providers(setup.device)), choose_threads(None), True, True
    )
    common = {"checkpoint": setup.checkpoint}
    for name in [*manifest.graphs, STEP]:
        where = {"graph": name, **common}
        path = setup.bundle(variant) / manifest.graph("gpt" if name == STEP else name).file
        with captured_log() as log:
            session = _open(path, name, manifest, config)
            counts = node_assignment(session)
            del session
        copies = sum(int(line.split(MEMCPY)[0].split()[-1]) for line in log if MEMCPY in line)
        yield make_row(variant, "memcpy_nodes", copies, "nodes", **where)
        for provider, operators in counts.items():
            total = sum(operators.values())
            short = provider.removesuffix("ExecutionProvider").lower()
            yield make_row(variant, "nodes", total, "nodes", provider=short, **where)
            if setup.device == "cuda" and short == "cpu":
                for operator, count in operators.items():
                    yield make_row(
                        variant, "nodes_on_cpu", count, "nodes", operator=operator, **where
                    )
        if setup.device == "cuda":
            refusal = _refusal(path, name, manifest, config)
            yield make_row(
                variant, "runs_without_cpu_fallback", float(not refusal), "yes",
                **where, **({"reason": refusal} if refusal else {}),
            )  # fmt: skip


def _open(path: Path, name: str, manifest: Manifest, config: SessionConfig) -> ort.InferenceSession:
    options = session_options(config)
    # The number of copies stands in a warning only.
    options.log_severity_level = 2
    if name == STEP:
        return open_step_session(path, manifest.model, config, options)
    return create_session(path, str(path), plain_providers(config), options)


def _refusal(path: Path, name: str, manifest: Manifest, config: SessionConfig) -> str:
    """Why the graph does not run on the first provider alone; empty where it does."""
    # ONNX Runtime calls it a conflict when the CPU is among the providers that are asked for.
    strict = SessionConfig(
        config.providers[:1], config.threads, config={"session.disable_cpu_ep_fallback": "1"}
    )
    try:
        with captured_log():
            _open(path, name, manifest, strict)
    except Exception as error:
        return str(error).replace("\n", " ")[-200:]
    return ""
