from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.studies.load.config import LoadConfig

DEFAULT = Path(__file__).parents[4] / "conf" / "load" / "default.yaml"


def default() -> LoadConfig:
    return parse_strictly(read_yaml(DEFAULT), LoadConfig)


def test_the_default_is_the_issues_load() -> None:
    config = default()
    assert (config.users, config.spawn_rate, config.seconds) == (20, 5, 30)
    assert config.soak_seconds == 600
    assert [target.name for target in config.targets][:2] == ["mini", "seeded_full"]
    gates = config.gates
    assert (gates.failures, gates.first_audio_p99_seconds, gates.memory_growth) == (0, 0.5, 0.03)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"users": 0}, "more than 0"),
        ({"websocket_users": 20}, "less than"),
        ({"soak_seconds": 100.0}, "at least 180"),
        ({"pause_seconds": (3.0, 1.0)}, "low to high"),
        ({"texts": []}, "are to be named"),
        ({"clauses": []}, "are to be named"),
        ({"clauses": ["Good morning."]}, "needs a comma"),
        ({"talk_rounds": 0}, "at least 1"),
        ({"targets": []}, "are to be named"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        dataclasses.replace(default(), **changes)  # type: ignore[arg-type]


def test_gates_of_no_target_are_refused() -> None:
    config = default()
    with pytest.raises(ConfigError, match="'huge' is none of the targets"):
        dataclasses.replace(config, gates=dataclasses.replace(config.gates, target="huge"))
