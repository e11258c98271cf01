"""Sampling never leaves the allowed set, and what the check for NaN costs.

A draw is one token of one head.  What may be drawn is worked out anew in plain sorted loops over
one row at a time, in higher precision, without anything of the sampler's own code.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from chattts_onnx.decoding.device_sampler import PREFIX, settings_columns, standalone_sampler
from chattts_onnx.decoding.finite import finite_rows
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings, sample
from chattts_onnx.format.manifest import ModelInfo, ReceptiveField
from tools.drills.outcomes import tested
from tools.drills.record import FOLDER, Promise, conclude

Wide = npt.NDArray[np.longdouble]
Ints = npt.NDArray[np.int64]

ROWS, HEADS, VOCABULARY, HIDDEN = 32, 4, 626, 768
DRAWS_A_CASE = 8
# Share of the whole within which rounding alone decides whether top-p takes a token.
MARGIN = 1e-5
_MODEL = ModelInfo(
    HIDDEN, 20, 12, 12, 64, HEADS, VOCABULARY, 21_178, 4096, 24_000, 256, 100, "float32",
    ReceptiveField(0, 0, 0),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Rows to draw from: logits [rows, heads, vocab], history [rows, window, heads], settings."""

    logits: npt.NDArray[np.float32]
    history: Ints
    params: list[GenerationParams]
    forbid_end: npt.NDArray[np.bool_]

    @property
    def settings(self) -> Settings:
        """As the sampler takes them."""
        columns = Settings(len(self.params))
        for row, params in enumerate(self.params):
            columns.set(row, params)
        return columns


def random_case(random: np.random.Generator) -> Case:
    """Smooth, tied, peaked and huge logits, with settings from all of their range."""
    shape = (ROWS, HEADS, VOCABULARY)
    logits = random.standard_normal(shape) * 10.0 ** random.uniform(-2, 3, (ROWS, 1, 1))
    tied = random.random(ROWS) < 0.2
    logits[tied] = random.integers(-3, 4, shape)[tied]
    # An end that outweighs everything, as forbidding it has to withstand.
    logits[random.random(ROWS) < 0.2, :, -1] += 1e4
    params = [
        GenerationParams(
            temperature=float(10.0 ** random.uniform(-2, 1)),
            top_p=float(random.choice([1.0, 1e-6, random.uniform(0.01, 1)])),
            top_k=int(random.choice([0, 1, 3, 20, 625, 5000])),
            repetition_penalty=float(random.choice([1.0, 1.05, random.uniform(0.2, 3)])),
        )
        for _ in range(ROWS)
    ]
    history = random.integers(-1, VOCABULARY, (ROWS, PENALTY_WINDOW, HEADS))
    # Penalties count where tokens repeat and where they are among the best.
    history[:, ::3] = logits.argmax(-1)[:, None]
    return Case(logits.astype(np.float32), history, params, random.random(ROWS) < 0.5)


def allowed(case: Case, row: int, head: int) -> set[int]:
    """Tokens that may be drawn, those included that rounding alone decides on."""
    params = case.params[row]
    scores: Wide = case.logits[row, head].astype(np.longdouble) / np.longdouble(params.temperature)
    for token in set(case.history[row, :, head].tolist()) - {-1}:
        count = int((case.history[row, :, head] == token).sum())
        alpha = np.longdouble(params.repetition_penalty) ** count
        scores[token] = scores[token] * alpha if scores[token] < 0 else scores[token] / alpha
    order = np.argsort(scores, kind="stable")
    weights = np.exp(scores[order] - scores.max())
    share = np.cumsum(weights) / weights.sum()
    keep = {int(token) for token in order[share > 1 - np.longdouble(params.top_p) - MARGIN]}
    keep |= {int(token) for token in order[-3:]}
    if params.top_k:
        least = scores[order[-min(max(params.top_k, 3), len(scores))]]
        # The sampler's float32 may round a neighbour up to the k-th score.
        slack = np.abs(least) * 1e-6 + np.longdouble(1e-30)
        keep &= {int(token) for token in np.flatnonzero(scores >= least - slack)}
    if case.forbid_end[row]:
        keep.discard(VOCABULARY - 1)
    return keep


def outside(case: Case, tokens: Ints) -> int:
    """How many of ``tokens`` [draws, rows, heads] may not be drawn."""
    return sum(
        int(token) not in keep
        for row in range(ROWS)
        for head in range(HEADS)
        for keep in [allowed(case, row, head)]
        for token in tokens[:, row, head]
    )


def draw_host(case: Case, random: np.random.Generator) -> Ints:
    """Tokens [draws, rows, heads] of the sampler that runs on the host."""
    end = VOCABULARY - 1
    return np.stack(
        [
            sample(case.logits, case.history, case.settings, uniforms, end, case.forbid_end)
            for uniforms in _uniforms(random)
        ]
    )


def draw_device(session: ort.InferenceSession, case: Case, random: np.random.Generator) -> Ints:
    """Tokens [draws, rows, heads] of the sampler that runs inside the graph."""
    fields = {
        **settings_columns(case.settings, _MODEL),
        "history": case.history,
        "forbid_end": case.forbid_end.reshape(-1, 1, 1),
    }
    feeds = {f"{PREFIX}/{name}": value for name, value in fields.items()} | {"logits": case.logits}
    return np.stack(
        [
            session.run(["codes"], {**feeds, f"{PREFIX}/uniforms": uniforms})[0]
            for uniforms in _uniforms(random)
        ]
    )


def _uniforms(random: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Random numbers of each draw, the ends of [0, 1) among them."""
    edges = [np.zeros((ROWS, HEADS)), np.full((ROWS, HEADS), np.nextafter(1.0, 0.0))]
    return edges + [random.random((ROWS, HEADS)) for _ in range(DRAWS_A_CASE - len(edges))]


def attack(draws: int, seed: int) -> dict[str, tuple[int, int]]:
    """Draws made and draws outside the allowed set, for the sampler of host and device."""
    random = np.random.default_rng(seed)
    session = ort.InferenceSession(standalone_sampler(_MODEL), providers=["CPUExecutionProvider"])
    made = {"host": 0, "device": 0}
    wrong = dict(made)
    while sum(made.values()) < draws:
        case = random_case(random)
        for name, tokens in (
            ("host", draw_host(case, random)),
            ("device", draw_device(session, case, random)),
        ):
            made[name] += tokens.size
            wrong[name] += outside(case, tokens)
    return {name: (made[name], wrong[name]) for name in made}


def check_seconds(rounds: int = 2000) -> float:
    """Median time of the check for NaN that one step of one row at full size takes."""
    scores = np.ones((1, HEADS, VOCABULARY), dtype=np.float32)
    states = np.ones((1, HIDDEN), dtype=np.float32)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        finite_rows(scores) & finite_rows(states)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def promises(draws: int, seed: int) -> list[Promise]:
    """Rows of the table."""
    rows = []
    for name, (count, wrong) in attack(draws, seed).items():
        place = {"host": "on the host", "device": "inside the graph, as on a GPU"}[name]
        rows.append(
            Promise(
                area="numbers",
                promise=f"sampling {place} never picks a token outside the allowed set",
                tried="`python -m tools.drills.numbers`: random, tied, peaked and huge scores, all "
                "settings, against plain sorted loops in long double",
                count=count,
                unit="draws",
                broken=wrong,
                result=f"{wrong:,} outside",
            )
        )
    return [
        *rows,
        tested(
            "numbers",
            "NaN or infinity in a graph's output fails the request concerned at that step, by "
            "graph, output, step and seed; its neighbours in the batch go on",
            "tests/chattts_onnx/decoding/test_finite.py",
            "",
            "planted in each graph, on host and device",
            f"the check takes {1e6 * check_seconds():.0f} µs a step of one row",
        ),
        tested(
            "numbers",
            "an overflow in a bundle's FP16 graph stops validation by graph and output, also on a "
            "CPU, whose arithmetic would hide it",
            "tests/pipeline/fidelity/test_validate.py",
            "overflow",
            "planted in the vocoder, which the `fp16` stage had seen with quiet inputs only",
            "`not_finite` in the report, and the pipeline stops",
        ),
    ]


def main() -> int:
    """Entry point; exit status 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.numbers", description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000_000, help="half of them on each path")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=Path, default=FOLDER)
    options = parser.parse_args()
    return conclude("numbers", promises(options.draws, options.seed), options.records)


if __name__ == "__main__":
    sys.exit(main())
