"""From files to modules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.checkpoint import layout
from pipeline.checkpoint.tensors import open_tensors
from pipeline.core.errors import CheckpointError
from pipeline.reference.load import Modules, load_modules


def test_heads_resolve_weight_norm(smoke_checkpoint: Path, smoke_modules: Modules) -> None:
    embed = open_tensors(smoke_checkpoint / layout.EMBED)
    gain = embed.array("head_code.2.parametrizations.weight.original0")
    rows = smoke_modules.dims.num_audio_tokens
    weight = smoke_modules.gpt.head_code.weight.detach().numpy()[2 * rows : 3 * rows]
    np.testing.assert_allclose(np.linalg.norm(weight, axis=1), np.abs(gain[:, 0]), rtol=1e-5)


def test_code_tables_lie_one_after_the_other(
    smoke_checkpoint: Path, smoke_modules: Modules
) -> None:
    embed = open_tensors(smoke_checkpoint / layout.EMBED)
    rows = smoke_modules.dims.num_audio_tokens
    table = smoke_modules.gpt.embed.emb_code.weight.detach().numpy()
    np.testing.assert_array_equal(table[3 * rows :], embed.array("emb_code.3.weight"))


def test_tokenizer_without_speaker_token_is_refused(smoke_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(smoke_checkpoint, folder)
    path = folder / layout.TOKENIZER
    tokenizer = json.loads(path.read_text("utf-8"))
    tokenizer["added_tokens"] = [
        token for token in tokenizer["added_tokens"] if token["content"] != "[spk_emb]"
    ]
    tokenizer["model"]["vocab"].pop("[spk_emb]", None)
    path.write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(CheckpointError, match=r"\[spk_emb\]"):
        load_modules(folder)
