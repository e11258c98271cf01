"""Pickles of old releases and fine-tunes to the official layout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from chattts_onnx.voices.collection import VoiceShelf
from pipeline.checkpoint import layout
from pipeline.checkpoint.convert import convert, main
from pipeline.checkpoint.dims import load_dims, open_all
from pipeline.core.errors import CheckpointError

ROOT = Path(__file__).resolve().parents[3]


def old_release(root: Path, folder: Path) -> Path:
    """The layout of ChatTTS before safetensors, written here from its description."""
    asset = folder / "asset"
    asset.mkdir(parents=True)
    gpt = {f"gpt.{k}": v for k, v in load_file(root / layout.GPT).items()}
    torch.save(gpt | load_file(root / layout.EMBED), asset / "GPT.pt")
    for name, file in (("Decoder.pt", layout.DECODER), ("DVAE_full.pt", layout.DVAE)):
        state = {
            k.replace(".weight", ".gamma") if k.count(".") == 3 and v.ndim == 1 else k: v
            for k, v in load_file(root / file).items()
        }
        state["coef"] = state["coef"].flatten()
        torch.save(state, asset / name)
    torch.save(load_file(root / layout.VOCOS), asset / "Vocos.pt")
    hidden = load_dims(root).hidden_size
    torch.save(torch.linspace(0.5, 2, 2 * hidden), asset / "spk_stat.pt")
    return folder


def assert_equal(found: Path, expected: Path) -> None:
    files = open_all(found)
    for name, original in open_all(expected).items():
        assert set(files[name].entries) == set(original.entries)
        for tensor in original.names:
            np.testing.assert_array_equal(files[name].array(tensor), original.array(tensor))


@pytest.fixture
def others(tiny: Path, tmp_path: Path) -> Path:
    """A base of other weights: what is taken from it shows."""
    folder = Path(shutil.copytree(tiny, tmp_path / "others"))
    for name in (layout.DECODER, layout.VOCOS):
        path = folder / name
        data = bytearray(path.read_bytes())
        data[-4:] = b"\0\0\0\0"
        path.write_bytes(bytes(data))
    return folder


@pytest.mark.parametrize("asset", [False, True])
def test_an_old_release(asset: bool, tiny: Path, others: Path, tmp_path: Path) -> None:
    source = old_release(tiny, tmp_path / "old")
    lines = convert(source / "asset" if asset else source, tmp_path / "new", others)
    assert_equal(tmp_path / "new", tiny)
    assert load_dims(tmp_path / "new") == load_dims(tiny)
    assert any(line.startswith(layout.TOKENIZER) and "others" in line for line in lines)
    shelf = VoiceShelf(tmp_path / "new" / "voices", load_dims(tiny).hidden_size)
    assert shelf.statistics is not None
    np.testing.assert_allclose(shelf.statistics.std[0], 0.5)
    np.testing.assert_allclose(shelf.statistics.mean[-1], 2)


FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "module": lambda state: {f"module.{k}": v for k, v in state.items()},
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "parameters": lambda state: {k: torch.nn.Parameter(v) for k, v in state.items()},
    "half": lambda state: {k: v.half().float() for k, v in state.items()},
    "views of one tensor": lambda state: {
        k: v.repeat(2, *[1] * (v.ndim - 1))[: len(v)] for k, v in state.items()
    },
    "old weight norm": lambda state: {
        k.replace(".parametrizations.weight.original0", ".weight_g").replace(
            ".parametrizations.weight.original1", ".weight_v"
        ): v
        for k, v in state.items()
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_fine_tuned_gpt_beside_a_base(
    form: str, tiny: Path, others: Path, tmp_path: Path
) -> None:
    state = {f"gpt.{k}": v + 1 for k, v in load_file(tiny / layout.GPT).items()}
    embed = {k: v + 1 for k, v in load_file(tiny / layout.EMBED).items()}
    (tmp_path / "tuned").mkdir()
    torch.save(FORMS[form](state | embed), tmp_path / "tuned" / "gpt.pt")
    convert(tmp_path / "tuned", tmp_path / "new", others)
    files, base = open_all(tmp_path / "new"), open_all(others)
    tolerance = 1e-3 if form == "half" else 0.0
    for name in (layout.GPT, layout.EMBED):
        for tensor in base[name].names:
            expected = base[name].array(tensor) + 1
            np.testing.assert_allclose(files[name].array(tensor), expected, rtol=tolerance)
    for name in (layout.DECODER, layout.DVAE, layout.VOCOS):
        assert (tmp_path / "new" / name).read_bytes() == (others / name).read_bytes()


def test_the_official_configuration_is_made_where_there_is_none(
    tiny: Path, others: Path, tmp_path: Path
) -> None:
    (others / layout.GPT_CONFIG).unlink()
    shutil.copytree(others / "asset" / "tokenizer", tmp_path / "t" / "asset" / "tokenizer")
    source = old_release(tiny, tmp_path / "old")
    # Its 24 numbers are less than one head of ChatTTS has.
    with pytest.raises(CheckpointError, match="num_attention_heads: found 0"):
        convert(source, tmp_path / "new", tmp_path / "t")
    assert not (tmp_path / "new").exists()


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_what_is_no_state_is_refused_and_never_run(
    tiny: Path, others: Path, tmp_path: Path
) -> None:
    source = tmp_path / "tuned"
    source.mkdir()
    ran = tmp_path / "ran"
    cases: dict[str, tuple[Any, str]] = {
        "code": (Evil(ran), "no pickle of tensors alone"),
        "list": ([torch.ones(2)], "found list, expected a state dict"),
        "other": ({"a": torch.ones(2)}, "found no tensor of asset/gpt/model"),
        "adapter": (
            {"gpt.layers.0.self_attn.q_proj.lora_A.default.weight": torch.ones(2)},
            "adapter that is not merged",
        ),
    }
    for value, message in cases.values():
        torch.save(value, source / "GPT.pt")
        with pytest.raises(CheckpointError, match=message):
            convert(source, tmp_path / "new", others)
    (source / "GPT.pt").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(CheckpointError, match="no pickle of tensors alone"):
        convert(source, tmp_path / "new", others)
    assert not ran.exists() and not (tmp_path / "new").exists()


def test_what_is_missing_is_named(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = old_release(tiny, tmp_path / "old")
    (source / "asset" / "Vocos.pt").unlink()
    assert main([str(source), str(tmp_path / "new")]) == 2
    assert "Vocos.pt" in (error := capsys.readouterr().err) and "--base FOLDER" in error
    assert main([str(source), str(source)]) == 2
    assert "expected a new folder" in capsys.readouterr().err
    assert main([str(tmp_path / "absent"), str(tmp_path / "new")]) == 2
    assert "found no folder" in capsys.readouterr().err
    assert main([str(source), str(tmp_path / "new"), "--base", str(tiny)]) == 0
    assert layout.VOCOS in capsys.readouterr().out


def test_the_command_has_help() -> None:
    command = [sys.executable, "-m", "pipeline.checkpoint.convert", "--help"]
    assert (
        b"weights_only" in subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    )
