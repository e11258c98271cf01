"""Three of locust's users for three seconds against the product's server and the naive one."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import LoadError
from pipeline.studies.load.config import LoadConfig, TargetConfig
from pipeline.studies.load.measure import CONTINUOUS, NAIVE, RAMP, TALK, measure
from pipeline.studies.load.process import ServerProcess
from pipeline.studies.load.talking import BARGE_IN, CLAUSE_HTTP, CLAUSE_WEBSOCKET
from tests.chattts_onnx import tiny_bundle
from tests.pipeline.studies.load.test_config import default

# Imported, it would put gevent into this process.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="no locust")


@pytest.fixture(scope="module")
def config(bundle_folder: Path) -> LoadConfig:
    target = TargetConfig("mini", str(bundle_folder), 40)
    return dataclasses.replace(
        default(),
        users=3,
        websocket_users=1,
        spawn_rate=3.0,
        seconds=3.0,
        pause_seconds=(0.1, 0.3),
        targets=[target],
        texts=["hello world, good morning", "good morning"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("system", [CONTINUOUS, NAIVE])
def test_users_are_answered(config: LoadConfig, system: str) -> None:
    if system == CONTINUOUS:
        pytest.importorskip("fastapi")
    run = measure(config, config.targets[0], system, RAMP)
    assert len(run.requests) >= 3
    assert [request["error"] for request in run.requests] == [None] * len(run.requests)
    assert {request["user"] for request in run.requests} == {0, 1, 2}
    for request in run.requests:
        assert 0 < request["first_audio"] <= request["total"]
        # 40 steps of the small bundle at most, in 16 bits; over a WebSocket two pieces of them.
        most = 2 * 40 * 2 * tiny_bundle.HOP
        silence = 2 * 8000
        limit = most if request["kind"] == "http" else 2 * most + silence
        assert 0 < request["bytes"] <= limit
    assert len(run.server) > 2 and all(memory > 1e6 for _, memory, _ in run.server)
    assert run.code and len(run.bundle) == 12
    kinds = {"http", "websocket"} if system == CONTINUOUS else {"http"}
    assert {request["kind"] for request in run.requests} == kinds
    if system == CONTINUOUS:
        assert any("requests_total" in name for name in run.metrics)


@pytest.mark.slow
def test_a_clause_is_heard_alone_and_while_it_is_written(config: LoadConfig) -> None:
    pytest.importorskip("fastapi")
    once = dataclasses.replace(config, talk_rounds=2, clauses=["hello world, good morning world"])
    run = measure(once, once.targets[0], CONTINUOUS, TALK)
    kinds = [CLAUSE_HTTP, CLAUSE_WEBSOCKET, BARGE_IN]
    assert [request["kind"] for request in run.requests] == kinds * 2
    for request in run.requests:
        assert 0 < request["first_audio"] <= request["total"]


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    code = "import sys; sys.exit('no such bundle')"
    with (
        pytest.raises(LoadError, match="ended with status 1: no such bundle"),
        ServerProcess([sys.executable, "-c", code], 60),
    ):
        pass


def test_a_server_that_says_nothing_is_given_up() -> None:
    code = "import time; time.sleep(600)"
    with (
        pytest.raises(LoadError, match=r"not ready after 0\.5 s: it printed nothing"),
        ServerProcess([sys.executable, "-c", code], 0.5),
    ):
        pass


def test_a_missing_bundle_is_told(config: LoadConfig, tmp_path: Path) -> None:
    target = dataclasses.replace(config.targets[0], bundle=str(tmp_path / "nothing"))
    with pytest.raises(LoadError, match="found no bundle"):
        measure(config, target, CONTINUOUS, RAMP)
