"""What was skipped and what would enable it: one line a lane at the end of a run.

A reason that no lane knows is a fault (``tests/test_lanes.py`` looks at all of them).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Lane:
    """Tests that need one thing; ``command`` gets it, or says which machine has it."""

    name: str
    reason: str
    command: str


LANES = (
    Lane("packages", r"^could not import|^no (locust|Ray)$|^wetext is not|hadolint", "make setup"),
    Lane("browser", r"no chromium", ".ci/prepare"),
    Lane("shells", r"^no (bash|fish|zsh)$", ".ci/prepare"),
    Lane("Prometheus' own check", r"promtool", ".ci/prepare"),
    Lane("kubectl", r"^no kubectl", "install kubectl (kubernetes.io/docs/tasks/tools)"),
    Lane("systemd", r"^no systemd", "run on a machine that has systemd"),
    Lane("tritonserver", r"triton_server/install\.sh", "triton_server/install.sh"),
    Lane(
        "clients of others",
        r"no clients' environment",
        "python -m venv .venv-clients && .venv-clients/bin/pip install "
        "-r tests/clients/requirements.txt",
    ),
    Lane("the official package", r"no official package", "peer/install.sh"),
    Lane(
        "the official files",
        r"^official (files|headers)|official tokenizer|no shared voices|voices that people share",
        "CHATTTS_DATA=folder of the official tokenizer, headers and voices (tests/official.py)",
    ),
    Lane("drills", r"no drill has been recorded", "python -m tools.drills.numbers"),
    Lane("the compiled step", r"no compiled step|no CMake", "install g++ and cmake, make setup"),
    Lane("AVX-512 VNNI", r"AVX-512 VNNI", "run on a CPU that has it"),
    Lane("a CPU build", r"this ONNX Runtime has CUDA", "run on a machine without a GPU"),
    Lane(
        "huge pages", r"huge pages|cannot collapse", "run on Linux 6.1 with transparent huge pages"
    ),
    Lane("a clone", r"^no git here", "git clone, in place of a source archive"),
    Lane(
        "Linux",
        r"seccomp|ELF is Linux|peak memory is read|glibc|POSIX|/proc",
        "run on Linux with glibc",
    ),
)


def lane_of(reason: str) -> Lane | None:
    """The lane that a skip's reason belongs to."""
    return next((lane for lane in LANES if re.search(lane.reason, reason)), None)


def summary(reasons: Iterable[str]) -> list[str]:
    """A line for each lane with skips, the largest first."""
    counts: Counter[Lane] = Counter()
    for reason in reasons:
        counts[lane_of(reason) or Lane(reason, "", "not known: tests/lanes.py lacks it")] += 1
    return [f"{count} skipped: {lane.name}: {lane.command}" for lane, count in counts.most_common()]
