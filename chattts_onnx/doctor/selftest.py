"""Two seconds of real work: a matrix product, and with a bundle a few steps of speech."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..decoding.graph_fragment import Fragment
from ..errors import ChatTTSError, GenerationError

SECONDS = 2.0
_SIZE = 256


@dataclass(frozen=True)
class SelfTest:
    """What was measured; ``ok`` False means that results were wrong, which ``line`` explains."""

    ok: bool
    line: str


def self_test(bundle: Path | None, seconds: float = SECONDS) -> list[SelfTest]:
    """A matrix product against numpy's, and speech from ``bundle`` where one is given."""
    results = [_matmul(min(seconds, 0.5) if bundle else seconds)]
    if bundle is not None:
        results.append(_speech(bundle, seconds))
    return results


def matmul_model() -> bytes:
    """``y [n, n] = a [n, n] @ b [n, n]`` in float32 as an ONNX model."""
    model, shape = Fragment("matmul"), ("n", "n")
    operands = [model.input(name, "float32", shape) for name in "ab"]
    model.output(model.op("MatMul", *operands, output="y"), "float32", shape)
    return model.standalone("matmul", opset=13)


def _matmul(seconds: float) -> SelfTest:
    try:
        import onnxruntime as ort

        from ..graphs.sessions import SessionConfig, choose_threads, session_options

        threads = choose_threads(None)
        config = SessionConfig((("CPUExecutionProvider", {}),), threads)
        session = ort.InferenceSession(
            matmul_model(), session_options(config), providers=["CPUExecutionProvider"]
        )
        random = np.random.default_rng(0)
        a, b = random.standard_normal((2, _SIZE, _SIZE)).astype(np.float32)
        result = session.run(None, {"a": a, "b": b})[0]
    except Exception as error:  # whatever breaks is the finding
        return SelfTest(False, f"ONNX Runtime cannot run a matrix product: {error}")
    if not np.allclose(result, a @ b, atol=1e-3):
        return SelfTest(False, "ONNX Runtime's matrix product differs from numpy's")
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        session.run(None, {"a": a, "b": b})
        count += 1
    rate = 2 * _SIZE**3 * count / (time.perf_counter() - started) / 1e9
    return SelfTest(True, f"matrix product: {rate:.0f} GFLOP/s in FP32 with {threads} threads")


def _speech(folder: Path, seconds: float) -> SelfTest:
    from ..bundle import open_bundle
    from ..decoding.request import Request

    try:
        started = time.perf_counter()
        bundle = open_bundle(folder)
        opened = time.perf_counter() - started
        limit = time.perf_counter() + seconds
        steps = 0

        def stop(request: Request) -> None:
            nonlocal steps
            steps = request.steps
            if time.perf_counter() > limit:
                request.cancel()

        params = bundle.default_params("code")
        most = min(params.max_new_tokens, bundle.model.max_position_embeddings)
        params = params.but(min_new_tokens=most // 2)
        started = time.perf_counter()
        try:
            bundle.generate("一二三四五", voice=0, seed=0, params=params, on_step=stop)
        except ChatTTSError as error:
            if not steps:
                raise GenerationError(f"not one step was generated: {error}") from error
        spent = time.perf_counter() - started
    except ChatTTSError as error:
        return SelfTest(False, f"{folder}: {error}")
    pace = steps / spent
    factor = pace * bundle.model.samples_per_step / bundle.sample_rate
    return SelfTest(
        True,
        f"{folder} ({bundle.manifest.variant}): checked and opened in {opened:.2f} s, "
        f"{pace:.0f} steps/s, {factor:.1f} times real time before the decoder; steps by "
        f"{bundle.step}",
    )
