from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import params
from pipeline.compose import main
from pipeline.config import load_params
from pipeline.core.errors import ConfigError
from pipeline.params import compose_params, render

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = sorted(path.stem for path in (ROOT / "conf/checkpoint").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))


def test_params_yaml_is_what_conf_composes_to() -> None:
    assert main(["--check", "--output", str(ROOT / "params.yaml")]) == 0, "run `make params`"
    params = load_params(ROOT / "params.yaml")
    assert params.checkpoint.name == "mini"
    assert params.precision.int8.calibrator in ("minmax", "percentile", "mse")


def test_composing_is_deterministic_and_reads_back() -> None:
    values = compose_params([])
    text = render(values, [])
    assert text == render(compose_params([]), [])
    assert yaml.safe_load(text) == values
    assert "`python -m pipeline.compose`" in text.splitlines()[0]


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if name != "local"])
def test_every_checkpoint_composes(name: str) -> None:
    assert compose_params([f"checkpoint={name}"])["checkpoint"]["name"] == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_changes_something(name: str) -> None:
    assert compose_params([f"experiment={name}"]) != compose_params([])


def test_stale_and_missing_files_are_told_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "params.yaml"
    arguments = ["precision.int8.calibrator=percentile", "--output", str(output)]
    assert main([*arguments, "--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert yaml.safe_load(output.read_text())["precision"]["int8"]["calibrator"] == "percentile"
    assert "precision.int8.calibrator=percentile" in output.read_text().splitlines()[0]
    assert main(["--output", str(output), "--check"]) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("checkpoint=none_such", "none_such"),
        ("precision.int8.calibrater=percentile", "calibrater"),
        ("+precision.int8.calibrater=percentile", "calibrater: found an unknown key"),
        ("~checkpoint", "does not compose with ~checkpoint"),
        ("checkpoint.path=5", r"checkpoint.path: found 5 \(int\)"),
        ("precision.int8.calibrator=guess", r"precision\.int8: calibrator: found 'guess'"),
        ("~export", "export: found nothing"),
        ("precision.int8.calibrater=x", "no key .*, expected precision.int8.calibrator"),
        ("checkpoint=local", "CHECKPOINT_DIR=folder"),
        ("seed=" + "[" * 400, "expected int"),
        ("seed=\ud800", r"\\ud800"),
        ("seed=" + "a" * 9000, r"\.\.\."),
        ("a" * 300 + ".path=5", "File name too long"),
        ("seed=often", r"seed: found 'often' \(str\), expected int"),
    ],
)
def test_overrides_that_fit_nothing_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_params([override])


def test_errors_are_messages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint=none_such"]) == 2
    assert capsys.readouterr().err.startswith("compose: ConfigError: ")


def test_a_folder_is_keyed_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fingerprint(folder: Path) -> str:
        seen.append(folder)
        return "f" * 64

    monkeypatch.setattr(params, "fingerprint", fingerprint)
    values = compose_params(["checkpoint=local", f"checkpoint.path={tmp_path}"])
    assert values["checkpoint"]["fingerprint"] == "f" * 64
    assert seen == [tmp_path]
    assert compose_params(["checkpoint=seeded_small"])["checkpoint"].get("fingerprint") is None


def test_an_experiment_goes_with_any_checkpoint() -> None:
    composed = compose_params(["checkpoint=mini", "experiment=smoke"])
    assert composed["checkpoint"]["name"] == "mini" and composed["validate"]["prompts"] == 2
    assert compose_params(["experiment=smoke"])["checkpoint"]["name"] == "smoke"
