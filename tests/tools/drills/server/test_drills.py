"""Short forms of the server's drills, and that each would see a server that breaks its promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.drills.record import Promise
from tools.drills.server import (
    budgets,
    connections,
    contract,
    growth,
    hostile,
    life,
    overload,
    privacy,
    texts,
)
from tools.drills.server.target import build_bundle

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("drilled") / "bundle")


def kept(promise: Promise, count: int) -> bool:
    assert promise.broken == 0, promise.result
    return promise.count >= count


def test_connections_that_give_nothing_are_let_go(bundle: Path) -> None:
    assert kept(connections.half_open(bundle, 20, receive=0.5), 20)
    assert kept(connections.slowloris(bundle, 20, receive=0.5), 20)


def test_a_server_that_waited_for_ever_would_be_seen(bundle: Path) -> None:
    assert connections.half_open(bundle, 10, receive=600, patience=-599).broken == 10


def test_who_does_not_read_or_leaves_is_let_go(bundle: Path) -> None:
    assert kept(connections.slow_readers(bundle, 6, 3), 6)
    assert kept(connections.leavers(bundle, 48), 48)


def test_overload_is_refused(bundle: Path) -> None:
    # Growth is judged by the full drill: a short one has not warmed the process up.
    assert kept(overload.overload(bundle, 320, 160, allowed=0.5), 320)


def test_malformed_and_huge_requests_are_refused(bundle: Path) -> None:
    assert kept(hostile.malformed(bundle, 200), 200)
    assert kept(hostile.huge(bundle), 14)


def test_the_description_is_kept(bundle: Path) -> None:
    pytest.importorskip("schemathesis")
    assert kept(contract.described(bundle, 4), 30)


def test_texts_of_every_plane_are_answered(bundle: Path) -> None:
    assert kept(texts.planes(bundle, 128, step=100), 17)


def test_requests_leave_nothing_behind(bundle: Path) -> None:
    assert kept(growth.growth(bundle, 60, 60, allowed=0.5), 60)


def test_keys_and_logs(bundle: Path) -> None:
    assert kept(privacy.wrong_keys(bundle, (("GET", "/v1/voices"), ("POST", "/admin/reload"))), 100)
    assert kept(privacy.logs(bundle), 30)


def test_no_client_takes_more_than_its_part(bundle: Path) -> None:
    assert kept(budgets.uploads(bundle, 6, 2 << 20), 6)
    assert kept(budgets.idle(bundle, 1100, sentences=100), 1100)
    assert kept(budgets.shares(bundle, 1, lines=40), 1)
    assert kept(budgets.queued(bundle, 2, 2 << 20), 2)


def test_a_server_without_a_budget_would_be_seen(bundle: Path) -> None:
    assert budgets.uploads(bundle, 2, 1 << 17, allowed=-(1 << 30)).broken == 2


def test_signals_kills_and_exchanges_cost_nothing(bundle: Path) -> None:
    assert kept(life.signals(bundle, 2), 2)
    assert kept(life.left_behind(bundle, 1), 1)
    assert kept(life.exchanged(bundle, 2), 2)
