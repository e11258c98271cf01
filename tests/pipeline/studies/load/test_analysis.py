from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.gates import UNMEASURED
from pipeline.studies.load.analysis import memory_growth, percentile, run_rows, verdicts
from pipeline.studies.load.measure import NAIVE, SOAK, TALK
from pipeline.studies.load.talking import BARGE_IN, CLAUSE_HTTP, CLAUSE_WEBSOCKET
from tests.pipeline.studies.load.runs import made, request
from tests.pipeline.studies.load.test_config import default


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(i) for i in range(1, 101)]
    assert [percentile(values, share) for share in (50, 95, 99)] == [50, 95, 99]
    assert percentile([3.0, 9.0], 99) == 9.0
    assert percentile([], 99) is None


def test_rows_of_a_run() -> None:
    requests = [request(0.1 * i, 1.0, at=i) for i in range(1, 11)]
    requests.append(request(0, 0.5, "status 503", at=3))
    rows = {row["metric"]: row["value"] for row in run_rows(made(requests))}
    assert rows["first_audio_p50_seconds"] == pytest.approx(0.5)
    assert rows["first_audio_p99_seconds"] == pytest.approx(1.0)
    assert (rows["requests"], rows["failures"]) == (11, 1)
    # Ten seconds of speech from the first request's sending to the last one's end.
    assert rows["speech_per_second"] == pytest.approx(10 / 10)
    assert rows["processor_use"] == pytest.approx(0.5)
    assert rows["peak_memory_bytes"] == 1e8


def soak(last: float, seconds: int = 300) -> list[float]:
    return [5e7] * 60 + [1e8] * (seconds - 120) + [last] * 60


@pytest.mark.parametrize(("last", "growth"), [(1e8, 0.0), (1.02e8, 0.02), (1.1e8, 0.1)])
def test_growth_leaves_the_first_minute_out(last: float, growth: float) -> None:
    run = made([request(0.1, 1)], soak(last), SOAK, seconds=300)
    assert memory_growth(run) == pytest.approx(growth)


def test_gates_judge_the_products_runs_of_their_target() -> None:
    config = default()
    good = made([request(0.3, 1) for _ in range(50)])
    flat = made([request(0.3, 1)], soak(1.01e8), SOAK, seconds=300)
    others = [
        made([request(9, 9), request(0, 1, "status 500")], system=NAIVE),
        made([request(9, 9), request(0, 1, "status 500")], target="seeded_full"),
    ]
    prompt = made(talked(0.105, 0.1), kind=TALK, seconds=0)
    assert [v.verdict for v in verdicts([good, flat, prompt, *others], config)] == ["kept"] * 4
    slow = made([request(0.3, 1) for _ in range(50)] + [request(0.6, 1)] * 2)
    growing = made([request(0, 1, "status 500")], soak(1.04e8), SOAK, seconds=300)
    late = made(talked(0.12, 0.1), kind=TALK, seconds=0)
    assert [v.verdict for v in verdicts([slow, growing, late], config)] == ["broken"] * 4
    unmeasured = [UNMEASURED] * 2
    assert [v.verdict for v in verdicts([good], config)] == ["kept", "kept", *unmeasured]
    assert [v.verdict for v in verdicts(others, config)] == [UNMEASURED] * 4


def test_those_who_write_as_they_go_have_rows_of_their_own() -> None:
    requests = [request(0.1, 1.0), request(0.3, 2.0) | {"kind": "websocket"}]
    found = {row["metric"]: row["value"] for row in run_rows(made(requests))}
    assert found["websocket_first_audio_p99_seconds"] == 0.3
    assert found["websocket_requests"] == 1 and found["requests"] == 2
    assert "websocket_requests" not in {row["metric"] for row in run_rows(made(requests[:1]))}


def talked(live: float, alone: float) -> list[dict[str, Any]]:
    """A round in which the first audio of a clause took so long either way."""
    kinds = {CLAUSE_HTTP: alone, CLAUSE_WEBSOCKET: live, BARGE_IN: 0.004}
    found = [request(seconds, 1.0) | {"kind": kind} for kind, seconds in kinds.items()]
    found[0]["step"] = 0.003
    return found


def test_a_clause_is_compared_round_by_round() -> None:
    run = made([*talked(0.1, 0.1), *talked(0.6, 0.5), *talked(0.3, 0.2)], kind=TALK, seconds=0)
    rows = {row["metric"]: row["value"] for row in run_rows(run)}
    assert rows["clause_over_http"] == pytest.approx(1.2)
    assert rows["clause_websocket_p50_seconds"] == 0.3
    assert rows["clause_http_p99_seconds"] == 0.5
    assert (rows["barge_in_p99_seconds"], rows["step_seconds"]) == (0.004, 0.003)
