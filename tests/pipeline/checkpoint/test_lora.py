"""Adapters merged as PEFT merges them (recorded by peft_golden.py), or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.checkpoint import layout
from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.dims import load_dims, open_all
from pipeline.checkpoint.lora import adapter_fingerprint, merge_adapter
from pipeline.checkpoint.tensors import open_tensors
from pipeline.core.errors import CheckpointError

DATA = Path(__file__).parent / "data" / "lora"
MERGED = ["plain", "all_linear", "rslora", "patterns", "full_names", "saved_norm", "half"]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """One that a test may change."""
    return Path(shutil.copytree(DATA / "plain", tmp_path / "adapter"))


def base(root: Path, case: str = "plain") -> Path:
    path = root / "base" / layout.GPT
    path.parent.mkdir(parents=True)
    shutil.copy(DATA / f"{case}.base.safetensors", path)
    return root / "base"


@pytest.mark.parametrize("case", MERGED)
def test_merged_as_peft_does(case: str, tmp_path: Path) -> None:
    root = base(tmp_path, case)
    merge_adapter(root, DATA / case, adapter_fingerprint(DATA / case))
    found, expected = load_file(root / layout.GPT), load_file(DATA / f"{case}.merged.safetensors")
    before = load_file(DATA / f"{case}.base.safetensors")
    names = {name for name in expected if "head" not in name}
    assert set(found) == names
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-6)
    changed = {name for name in names if not np.array_equal(found[name], before[name])}
    assert changed and changed == {
        name for name in names if not np.array_equal(expected[name], before[name])
    }


@pytest.mark.parametrize(
    ("case", "message"),
    [("dora", "use_dora: found True, expected nothing; merge it"), ("embedding", "embed")],
)
def test_what_is_more_than_b_a_is_refused(case: str, message: str, tmp_path: Path) -> None:
    root = base(tmp_path, case)
    before = (root / layout.GPT).read_bytes()
    with pytest.raises(CheckpointError, match=message):
        merge_adapter(root, DATA / case)
    assert (root / layout.GPT).read_bytes() == before


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"peft_type": "IA3"}, "peft_type: found 'IA3', expected LORA"),
    "bias": ({"bias": "lora_only"}, "bias: found 'lora_only', expected none"),
    "transposed": ({"fan_in_fan_out": True}, "fan_in_fan_out"),
    "replicated": ({"layer_replication": [[0, 1]]}, "layer_replication"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights.*changes the base"),
    "OLoRA": ({"init_lora_weights": "olora"}, "init_lora_weights.*changes the base"),
    "tokens": ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    "another rank": ({"r": 3}, r"A \[2, 8\] and B \[8, 2\], expected rank 3"),
    "no rank": ({"r": None}, "r: found None, expected a positive number"),
    "no alpha": ({"lora_alpha": "8"}, "lora_alpha: found '8'"),
    "negative": ({"lora_alpha": -1}, "lora_alpha: found -1"),
    "patterns": ({"rank_pattern": {"(": 2}}, "no usable patterns"),
    "pattern of many": ({"rank_pattern": {"a{99999999999}": 2}}, "no usable patterns"),
    "list of patterns": ({"rank_pattern": [1]}, "no usable patterns"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_that_mean_more_are_refused(
    case: str, adapter: Path, tmp_path: Path
) -> None:
    changes, message = CONFIGS[case]
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=message):
        merge_adapter(base(tmp_path), adapter)


def test_weights_that_do_not_fit_are_named(adapter: Path, tmp_path: Path) -> None:
    root, path = base(tmp_path), adapter / "adapter_model.safetensors"
    good = load_file(path)
    name = "base_model.model.layers.0.self_attn.q_proj.lora_A.weight"
    other = name.replace("layers.0", "layers.7")
    cases: dict[str, dict[str, Any]] = {
        "found B of an adapter": {k: v for k, v in good.items() if k != name},
        "expected A and B for a matrix": good | {other: good[name]},
        "found no pair": {},
        r"A \[2, 9\]": good | {name: np.zeros((2, 9), np.float32)},
        "a pair of ": good | {"base_model.model.extra": np.zeros(3, np.float32)},
        r"expected shape \[8\]": good | {"base_model.model.norm.weight": np.zeros(3, np.float32)},
        "two adapters": good | {name.replace(".weight", ".other.weight"): good[name]},
        "found type I64": good | {name: np.zeros((2, 8), np.int64)},
    }
    for message, tensors in cases.items():
        save_file(tensors, path)
        with pytest.raises(CheckpointError, match=message):
            merge_adapter(root, adapter)
    assert load_file(root / layout.GPT).keys() == load_file(DATA / "plain.base.safetensors").keys()


def test_missing_and_damaged_files_are_named(adapter: Path, tmp_path: Path) -> None:
    root = base(tmp_path)
    with pytest.raises(CheckpointError, match=r"as params\.yaml says"):
        merge_adapter(root, adapter, "0" * 64)
    weights, config = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    for content in (b"{", b"[]", b"version https://git-lfs.github.com/spec/v1\n", b"\xff"):
        config.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"adapter_config\.json: found no usable"):
            merge_adapter(root, adapter)
    weights.rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="safe_serialization=True"):
        merge_adapter(root, adapter)
    with pytest.raises(CheckpointError, match=r"found no adapter_config\.json"):
        adapter_fingerprint(tmp_path / "absent")


def tiny_adapter(root: Path, folder: Path) -> Path:
    """One that fits a checkpoint."""
    dims = load_dims(root)
    rng = np.random.default_rng(1)
    name = "base_model.model.model.layers.1.self_attn.k_proj"
    rows = dims.num_key_value_heads * dims.head_dim
    folder.mkdir()
    save_file(
        {
            f"{name}.lora_A.weight": rng.standard_normal((2, dims.hidden_size)).astype(np.float32),
            f"{name}.lora_B.weight": rng.standard_normal((rows, 2)).astype(np.float32),
        },
        folder / "adapter_model.safetensors",
    )
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4})
    )
    return folder


def local(path: Path, **values: Any) -> CheckpointConfig:
    return CheckpointConfig(name="mine", kind="local", license="?", path=str(path), **values)


def test_a_checkpoint_is_built_with_its_adapter(tiny: Path, tmp_path: Path) -> None:
    folder = tiny_adapter(tiny, tmp_path / "adapter")
    plain = build(local(tiny), 1, tmp_path / "plain")
    tuned = build(
        local(tiny, lora=str(folder), lora_fingerprint=adapter_fingerprint(folder)),
        1,
        tmp_path / "tuned",
    )
    assert tuned.source == f"{plain.source}+lora:adapter" and tuned.revision != plain.revision
    first, second = (open_all(tmp_path / name)[layout.GPT] for name in ("plain", "tuned"))
    changed = [
        name for name in second.names if not np.array_equal(first.array(name), second.array(name))
    ]
    assert changed == ["layers.1.self_attn.k_proj.weight"]
    same = {name: record for name, record in tuned.files.items() if name != layout.GPT}
    assert same == {name: plain.files[name] for name in same}


def test_an_adapter_nobody_asked_for_is_refused(damaged: Path, tmp_path: Path) -> None:
    folder = tiny_adapter(damaged, tmp_path / "adapter")
    for place in (damaged, damaged / "asset", damaged / "asset" / "gpt"):
        shutil.copy(folder / "adapter_model.safetensors", place)
        with pytest.raises(CheckpointError, match=r"checkpoint\.lora=FOLDER to merge it"):
            build(local(damaged), 1, tmp_path / "out")
        (place / "adapter_model.safetensors").unlink()
    build(local(damaged), 1, tmp_path / "out")


@pytest.mark.parametrize("name", ["lora_A.default.weight", "lora_B.weight", "lora_embedding_A"])
def test_an_adapter_inside_a_file_is_refused(name: str, damaged: Path) -> None:
    path = damaged / layout.GPT
    tensors = load_file(path)
    tensors[f"base_model.model.layers.0.self_attn.q_proj.{name}"] = np.zeros((2, 2), np.float32)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"not merged.*merge_and_unload.*lora="):
        load_dims(damaged)


PREFIXES = [
    "model.",
    "base_model.model.model.",
    "module.",
    "_orig_mod.module.",
    "gpt.",
    "module.gpt.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_under_a_prefix_are_read(prefix: str, damaged: Path, tiny: Path) -> None:
    for file in layout.TENSOR_FILES:
        if file == layout.GPT or prefix in ("module.", "_orig_mod.module."):
            tensors = load_file(damaged / file)
            save_file({prefix + name: value for name, value in tensors.items()}, damaged / file)
    assert load_dims(damaged) == load_dims(tiny)
    files = open_all(damaged)
    for file, original in open_all(tiny).items():
        assert set(files[file].entries) == set(original.entries)
        for name in original.names:
            np.testing.assert_array_equal(files[file].array(name), original.array(name))


def test_a_name_that_stands_twice_is_refused(damaged: Path) -> None:
    tensors = load_file(damaged / layout.GPT)
    save_file(tensors | {"model.norm.weight": tensors["norm.weight"]}, damaged / layout.GPT)
    with pytest.raises(CheckpointError, match=r"tensor norm\.weight: found it twice"):
        load_dims(damaged)


def split(path: Path) -> list[Path]:
    """Shards as transformers writes them."""
    tensors = load_file(path)
    names = sorted(tensors)
    parts = [names[i::3] for i in range(3)]
    files, weights = [], {}
    for number, part in enumerate(parts, 1):
        file = path.with_name(f"{path.stem}-{number:05}-of-00003.safetensors")
        save_file({name: tensors[name] for name in part}, file)
        weights |= dict.fromkeys(part, file.name)
        files.append(file)
    index = path.with_name(path.name + ".index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}))
    path.unlink()
    return files


def test_shards_are_read_and_come_along(damaged: Path, tiny: Path, tmp_path: Path) -> None:
    split(damaged / layout.GPT)
    split(damaged / layout.EMBED)
    assert load_dims(damaged) == load_dims(tiny)
    record = build(local(damaged), 1, tmp_path / "out")
    assert sum("-of-00003" in name for name in record.files) == 6
    files = open_all(tmp_path / "out")
    for file, original in open_all(tiny).items():
        for name in original.names:
            np.testing.assert_array_equal(files[file].array(name), original.array(name))
    folder = tiny_adapter(tiny, tmp_path / "adapter")
    merged = build(local(damaged, lora=str(folder)), 1, tmp_path / "merged")
    assert layout.GPT in merged.files
    assert not any(name.startswith("asset/gpt/model-") for name in merged.files)


def test_broken_shards_are_named(damaged: Path) -> None:
    files = split(damaged / layout.GPT)
    index = damaged / f"{layout.GPT}.index.json"
    good = index.read_text()
    for content in ("{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        index.write_text(content)
        with pytest.raises(CheckpointError, match="no usable index"):
            load_dims(damaged)
    index.write_text('{"weight_map": {"a": "../../../etc/passwd"}}')
    with pytest.raises(CheckpointError, match="not all of its shards"):
        load_dims(damaged)
    index.write_text(good)
    files[1].unlink()
    with pytest.raises(CheckpointError, match=rf"not all of its shards \({files[1].name}\)"):
        load_dims(damaged)


def test_prefixed_names_are_those_of_the_layout(tmp_path: Path) -> None:
    save_file({"model.a": np.ones(1, np.float32), "model": np.ones(2, np.float32)}, tmp_path / "x")
    assert set(open_tensors(tmp_path / "x").entries) == {"a", "model"}
