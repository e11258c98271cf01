from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig, SeededConfig
from pipeline.checkpoint.seeded import encode_header, planned_shapes
from pipeline.core.strict import parse_strictly, read_yaml
from tests.official import PREFIXES

ROOT = Path(__file__).resolve().parents[3]
HEADERS = PREFIXES / "headers.txt"


def load(name: str) -> CheckpointConfig:
    return parse_strictly(
        read_yaml(ROOT / "conf" / "checkpoint" / f"{name}.yaml"), CheckpointConfig
    )


@pytest.fixture(scope="module")
def full() -> SeededConfig:
    seeded = load("seeded_full").seeded
    assert seeded is not None
    return seeded


@pytest.mark.parametrize("name", layout.TENSOR_FILES)
def test_seeded_full_has_the_size_of_the_official_file_to_the_byte(
    name: str, full: SeededConfig
) -> None:
    header, offsets = encode_header(name, planned_shapes(full)[name])
    official = load("chattts").files[name].bytes
    assert len(header) + max(end for _, end in offsets.values()) == official


@pytest.mark.skipif(not HEADERS.is_file(), reason="official headers are not at hand")
@pytest.mark.parametrize("name", [layout.GPT, layout.EMBED, layout.DECODER, layout.DVAE])
def test_seeded_full_has_the_official_names_shapes_and_offsets(
    name: str, full: SeededConfig
) -> None:
    label = "gpt_model" if name == layout.GPT else Path(name).stem
    section = HEADERS.read_text().split(f"{label}.part")[1].split(".part")[0]
    pattern = r"^    (\S+) F32 (\[[\d, ]*\]) \[(\d+), (\d+)\]"
    official = {
        tensor: (tuple(map(int, re.findall(r"\d+", shape))), (int(begin), int(end)))
        for tensor, shape, begin, end in re.findall(pattern, section, re.MULTILINE)
    }
    shapes = planned_shapes(full)[name]
    _, offsets = encode_header(name, shapes)
    assert {tensor: (shapes[tensor], offsets[tensor]) for tensor in shapes} == official


def test_layers_are_counted_by_number() -> None:
    names = dict.fromkeys(["x.0.a", "x.1.a", "x.10.a", "y.11.a", "x.norm", "xx.12.a"])
    assert layout.count_layers(names, "x") == 11
    assert layout.count_layers(names, "z") == 0
