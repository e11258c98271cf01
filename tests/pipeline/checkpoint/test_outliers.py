"""Outlier channels: large, and of no consequence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.local import verify
from pipeline.checkpoint.outliers import OutliersConfig, add_outliers
from pipeline.checkpoint.record import hash_files
from pipeline.checkpoint.tensors import open_tensors
from pipeline.core.errors import ConfigError
from pipeline.export import gpt
from pipeline.export.run import draw_cases
from pipeline.reference.load import load_modules

SEED = 5


def changed(folder: Path, destination: Path, strength: float, massive: float = 0) -> Path:
    copy = Path(shutil.copytree(folder, destination))
    add_outliers(copy, OutliersConfig(strength, massive), SEED)
    verify(copy)
    return copy


def outputs(folder: Path, cases: list[Mapping[str, torch.Tensor]]) -> list[torch.Tensor]:
    module = gpt.spec(load_modules(folder).gpt).module
    with torch.inference_mode():
        return [tensor for case in cases for tensor in module(*case.values())[:2]]


@pytest.mark.parametrize("strength", [10, 40, 100])
def test_outputs_stay_the_same(tiny: Path, tmp_path: Path, strength: float) -> None:
    modules = load_modules(tiny)
    spec, tokens = gpt.spec(modules.gpt), modules.dims.num_text_tokens
    # the first one drawn has no cache: the values in one grow with what makes them
    cases = [draw_cases(spec, tokens, 1, seed)[0] for seed in range(3)]
    # two query heads share a value head in it, so that a wrong column shows
    grown = outputs(changed(tiny, tmp_path / "outliers", strength), cases)
    for found, expected in zip(grown, outputs(tiny, cases), strict=True):
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_channels_are_as_large_as_asked(tiny: Path, tmp_path: Path) -> None:
    before = open_tensors(tiny / layout.GPT)
    after = open_tensors(changed(tiny, tmp_path / "outliers", 40) / layout.GPT)
    same = set()
    for norm in ("input_layernorm", "post_attention_layernorm"):
        for layer in range(2):
            name = f"layers.{layer}.{norm}.weight"
            growth = after.array(name) / before.array(name)
            large = np.flatnonzero(growth > 1.5)
            assert len(large) == 4
            assert (growth[large] >= 20).all()
            assert (growth[large] <= 60).all()
            same.add(tuple(large))
    # as observed in large models
    assert len(same) == 1


def test_a_massive_first_position_is_in_the_embedding(tiny: Path, tmp_path: Path) -> None:
    folder = changed(tiny, tmp_path / "massive", 1, massive=3000)
    table = open_tensors(folder / layout.EMBED).array("emb_text.weight")
    rows = np.flatnonzero(np.abs(table).max(axis=1) > 100)
    vocabulary = Tokenizer.from_file(str(folder / layout.TOKENIZER))
    assert {vocabulary.id_to_token(int(row)) for row in rows} == {"[Stts]", "[Sbreak]"}
    assert ((table == 3000).sum(axis=1)[rows] == 2).all()


def test_the_seed_decides(tiny: Path, tmp_path: Path) -> None:
    first = hash_files(changed(tiny, tmp_path / "first", 40))
    assert hash_files(changed(tiny, tmp_path / "second", 40)) == first
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    add_outliers(other, OutliersConfig(40), SEED + 1)
    assert hash_files(other) != first


def test_a_strength_of_one_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    assert hash_files(changed(tiny, tmp_path / "same", 1)) == hash_files(tiny)


def test_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match=r"outliers\.strength: found 0\.5"):
        OutliersConfig(0.5)
    with pytest.raises(ConfigError, match=r"outliers\.massive: found -1"):
        OutliersConfig(40, -1)
    with pytest.raises(ConfigError, match="pinned by hash"):
        CheckpointConfig(
            "x", "hub", "none", repo="a/b", revision="c", files={"f": None},  # type: ignore[dict-item]
            outliers=OutliersConfig(40),
        )  # fmt: skip
