from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import Params, load_params
from pipeline.core.errors import ConfigError
from pipeline.params import compose_params

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def values() -> dict[str, Any]:
    return compose_params([])


def load(tmp_path: Path, values: dict[str, Any]) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_params(path)


def test_the_committed_parameters_load() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.checkpoint.name == "mini"
    assert params.tools["torch"] == "2.13.0"
    assert params.precision.int8.calibrator in ("minmax", "percentile", "mse")


@pytest.mark.parametrize("group", [field.name for field in fields(Params)])
def test_every_group_has_to_be_there(tmp_path: Path, values: dict[str, Any], group: str) -> None:
    del values[group]
    with pytest.raises(ConfigError, match=f"{group}: found nothing"):
        load(tmp_path, values)


def test_errors_name_the_path_of_the_key(tmp_path: Path, values: dict[str, Any]) -> None:
    values["precision"]["int8"]["calibrater"] = "percentile"
    with pytest.raises(ConfigError, match=r"precision\.int8\.calibrater: found an unknown key"):
        load(tmp_path, values)


def test_a_refused_value_names_its_group(tmp_path: Path, values: dict[str, Any]) -> None:
    values["precision"]["int8"]["calibrator"] = "guess"
    with pytest.raises(ConfigError, match=r"precision\.int8: calibrator: found 'guess'"):
        load(tmp_path, values)
