"""Stage ``w8``: weights of MatMul as 8-bit integers (MatMulNBits), for the CPU and CUDA.

Reads ``bundles/fp32`` and, where an algorithm learns from data, calibration sentences; writes
``bundles/w8`` and ``reports/w8.{json,md}``.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.stages._runner import stage_main
from pipeline.stages.weight_only import build_variant


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring and :func:`pipeline.stages.weight_only.build_variant`."""
    build_variant("w8", params.precision.w8, params.seed, workspace)


if __name__ == "__main__":
    stage_main("w8", run)
