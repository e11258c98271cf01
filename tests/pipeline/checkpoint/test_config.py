from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig, SeededConfig
from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.params import compose_values

CONF = Path(__file__).resolve().parents[3] / "conf" / "checkpoint"
NAMES = ("chattts", "local", "mini", "seeded_full", "seeded_small")
# the same with outlier channels: another name, and nothing else but those
OUTLIERS = {"mini_outliers": "mini", "seeded_full_outliers": "seeded_full"}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_fits_the_dataclass_and_begins_with_a_comment(name: str) -> None:
    path = CONF / f"{name}.yaml"
    assert path.read_text("utf-8").startswith("# ")
    text = path.read_text("utf-8").replace("???", "somewhere")
    config = parse_strictly(yaml.safe_load(text), CheckpointConfig)
    assert config.name == name
    assert config.license


def test_all_files_are_known() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} == {*NAMES, *OUTLIERS, "smoke"}


@pytest.mark.parametrize(("name", "plain"), OUTLIERS.items())
def test_a_checkpoint_with_outliers_is_the_plain_one_otherwise(name: str, plain: str) -> None:
    made, expected = (
        parse_strictly(compose_values([f"checkpoint={c}"])["checkpoint"], CheckpointConfig)
        for c in (name, plain)
    )
    assert made.outliers is not None
    assert dataclasses.replace(made, name=plain, outliers=None) == expected


def test_the_official_checkpoint_is_pinned_completely() -> None:
    config = parse_strictly(read_yaml(CONF / "chattts.yaml"), CheckpointConfig)
    assert config.revision is not None and len(config.revision) == 40
    assert set(config.files) == set(layout.FILES)
    assert all(len(file.sha256) == 64 for file in config.files.values())
    assert config.license == "CC BY-NC 4.0"
    assert sum(file.bytes or 0 for file in config.files.values()) == 1_217_874_046


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "torrent"}, r"kind: found 'torrent', expected one of hub, local, seeded"),
        ({"kind": "local"}, r"path: found nothing, expected it for kind local"),
        ({"kind": "hub", "repo": "a/b"}, r"revision: found nothing"),
        ({"kind": "hub", "repo": "a/b", "revision": "c"}, r"files: found nothing"),
        ({"kind": "seeded"}, r"seeded: found nothing"),
    ],
)
def test_a_source_that_is_not_given_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CheckpointConfig(**({"name": "x", "license": "y"} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5}, r"hidden_size: found 24, expected .* 5 \(num_attention_heads"),
        ({"num_key_value_heads": 4}, r"num_attention_heads: found 6, .* \(num_key_value_heads"),
        ({"num_key_value_heads": 0}, r"num_attention_heads: found 6, .* multiple of 0"),
        ({"num_attention_heads": 8, "num_key_value_heads": 8}, r"an even size for each of the 8"),
        ({"vq_groups": 3}, r"num_vq: found 4, expected .* multiple of 3 \(vq_groups"),
        ({"n_fft": 66}, r"n_fft: found 66, expected a positive multiple of 4"),
        ({"vq_levels": [5, 3]}, r"vq_levels: found \[5, 3\]"),
        ({"vq_levels": []}, r"vq_levels: found \[\]"),
        ({"vocabulary": "latin"}, r"vocabulary: found 'latin', expected one of compact, official"),
    ],
)
def test_sizes_that_contradict_each_other_are_named(
    changes: dict[str, Any], message: str, tiny_config: SeededConfig
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(tiny_config, **changes)
