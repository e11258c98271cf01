from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import SeededConfig
from pipeline.checkpoint.dims import ignored_tensors, load_dims
from pipeline.checkpoint.seeded import seeded_dims
from pipeline.core.errors import CheckpointError

Rewriter = Callable[[Path, Any], None]


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / layout.GPT_CONFIG
    config = json.loads(path.read_text())
    for key, value in changes.items():
        if value is ...:
            config.pop(key)
        else:
            config[key] = value
    path.write_text(json.dumps(config))


def test_dims_come_from_the_files(tiny: Path, tiny_config: SeededConfig) -> None:
    dims = load_dims(tiny)
    assert dims == seeded_dims(tiny_config)
    assert (dims.hop_length, dims.head_dim, dims.num_audio_tokens) == (16, 4, 28)
    assert dims.vq.residuals == 2
    assert load_dims(tiny / "asset") == dims


def test_unused_tensors_may_be_absent_or_of_other_sizes(damaged: Path, tiny: Path) -> None:
    gpt = load_file(damaged / layout.GPT)
    del gpt["embed_tokens.weight"]
    save_file(gpt, damaged / layout.GPT)
    for name in (layout.DVAE, layout.VOCOS):
        tensors = load_file(damaged / name)
        kept = {key: value for key, value in tensors.items() if "mel_spec" not in key}
        kept.pop("head.istft.window", None)
        assert len(kept) < len(tensors)
        save_file(kept, damaged / name)
    edit_config(damaged, vocab_size=99)
    assert load_dims(damaged) == load_dims(tiny)


def test_a_config_as_transformers_5_writes_it(damaged: Path, tiny: Path) -> None:
    nested = {"rope_theta": 5000.0, "rope_type": "default"}
    edit_config(damaged, rope_theta=..., rope_scaling=..., rope_parameters=nested, head_dim=4)
    for key in ("num_vq", "num_audio_tokens", "num_text_tokens"):
        edit_config(damaged, **{key: ...})
    assert load_dims(damaged) == load_dims(tiny)


def test_keys_that_a_config_leaves_out_mean_what_transformers_says(damaged: Path) -> None:
    from transformers import LlamaConfig

    keys = ("rope_theta", "rope_scaling", "rms_norm_eps", "max_position_embeddings", "model_type")
    for key in keys:
        edit_config(damaged, **{key: ...})
    dims, default = load_dims(damaged), LlamaConfig()
    assert default.rope_parameters is not None
    assert dims.rms_norm_eps == default.rms_norm_eps
    assert dims.max_position_embeddings == default.max_position_embeddings
    assert dims.rope_theta == default.rope_parameters["rope_theta"]


def test_unknown_tensors_are_listed(damaged: Path, tiny: Path) -> None:
    assert ignored_tensors(tiny) == {}
    tensors = load_file(damaged / layout.VOCOS)
    bias = tensors["head.out.bias"]
    save_file(tensors | {"teacher.b": bias, "a": bias.copy()}, damaged / layout.VOCOS)
    assert ignored_tensors(damaged) == {layout.VOCOS: ["a", "teacher.b"]}


def test_head_dim_and_heads_may_be_independent(damaged: Path) -> None:
    """The projections have num_attention_heads * head_dim rows, whatever hidden_size is."""
    edit_config(damaged, num_attention_heads=3, head_dim=8, num_key_value_heads=3)
    with pytest.raises(
        CheckpointError, match=r"k_proj\.weight: found shape \[12, 24\].*\[24, 24\]"
    ):
        load_dims(damaged)


CONFIG_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "hidden_size absent": ({"hidden_size": ...}, r"hidden_size: found None, expected a positive"),
    "layers a string": ({"num_hidden_layers": "2"}, r"num_hidden_layers: found '2'"),
    "a million layers": ({"num_hidden_layers": 10**6}, r"num_hidden_layers: found 1000000"),
    "endless positions": ({"max_position_embeddings": 2**31 - 1}, r"expected .* at most 1048576"),
    "heads zero": ({"num_attention_heads": 0}, r"num_attention_heads: found 0"),
    "heads true": ({"num_attention_heads": True}, r"num_attention_heads: found True"),
    "heads odd": ({"num_attention_heads": 7}, r"found hidden_size 24 with 7 attention heads"),
    "eps": ({"rms_norm_eps": -1}, r"rms_norm_eps: found -1, expected a positive number"),
    "eps nan": ({"rms_norm_eps": float("nan")}, r"rms_norm_eps: found nan"),
    "theta": ({"rope_theta": "1e4"}, r"rope_theta: found '1e4', expected a positive number"),
    "scaling": ({"rope_scaling": {"rope_type": "yarn"}}, r"rope_type: found 'yarn'"),
    "old scaling": ({"rope_scaling": {"type": "linear"}}, r"rope_type: found 'linear'"),
    "model": ({"model_type": "gpt2"}, r"model_type: found 'gpt2', expected 'llama'"),
    "bias": ({"attention_bias": True}, r"attention_bias: found True, expected False"),
    "text": ({"num_text_tokens": 5}, r"emb_text\.weight: found num_text_tokens 3944, expected 5"),
    "audio": ({"num_audio_tokens": 626}, r"found num_audio_tokens 28, expected 626"),
    "num_vq": ({"num_vq": 8}, r"found num_vq 4, expected 8"),
    "more layers": (
        {"num_hidden_layers": 3},
        r"gpt/model.safetensors: tensor layers\.2\.input_layernorm\.weight: found nothing.*\[24\]",
    ),
    "hidden": ({"hidden_size": 30}, r"tensor layers\.0\..*: found shape \[24\], expected \[30\]"),
    "mlp": ({"intermediate_size": 41}, r"gate_proj\.weight: found shape \[40, 24\].*\[41, 24\]"),
}


@pytest.mark.parametrize("case", CONFIG_ERRORS)
def test_a_wrong_config_is_named(case: str, damaged: Path) -> None:
    changes, message = CONFIG_ERRORS[case]
    edit_config(damaged, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_dims(damaged)


@pytest.mark.parametrize(
    "text", ["{", "[]", "\ud800".encode("utf-8", "surrogatepass").decode("latin1")]
)
def test_a_config_that_is_no_object_is_named(text: str, damaged: Path) -> None:
    (damaged / layout.GPT_CONFIG).write_text(text, "latin1")
    with pytest.raises(CheckpointError, match=r"asset/gpt/config\.json: found"):
        load_dims(damaged)


@pytest.mark.parametrize("name", [layout.GPT_CONFIG, *layout.TENSOR_FILES])
def test_a_missing_file_is_named(name: str, damaged: Path) -> None:
    (damaged / name).unlink()
    with pytest.raises(CheckpointError, match=rf"^{name}: found no such file"):
        load_dims(damaged)


@pytest.mark.parametrize(
    ("name", "pickle"),
    [
        (layout.DECODER, "asset/Decoder.pt"),
        (layout.GPT, "asset/gpt/pytorch_model.bin"),
        (layout.EMBED, "asset/Embed.pth"),
    ],
)
def test_a_pickle_in_its_place_is_refused(name: str, pickle: str, damaged: Path) -> None:
    (damaged / name).rename(damaged / pickle)
    with pytest.raises(CheckpointError, match=rf"{name}: found only the pickle .*any code"):
        load_dims(damaged)


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no folder 'asset'"):
        load_dims(tmp_path)
    with pytest.raises(CheckpointError, match=r"found no folder, .*check the path"):
        load_dims(tmp_path / "nowhere")


@pytest.mark.parametrize("name", layout.TENSOR_FILES)
def test_every_needed_tensor_is_missed(name: str, damaged: Path, tiny_config: SeededConfig) -> None:
    tensors = load_file(damaged / name)
    needed = layout.required_shapes(seeded_dims(tiny_config))[name]
    for tensor in sorted(needed):
        rest = {key: value for key, value in tensors.items() if key != tensor}
        save_file(rest, damaged / name)
        with pytest.raises(CheckpointError, match=r"^asset/"):
            load_dims(damaged)


@pytest.mark.parametrize("name", layout.TENSOR_FILES)
def test_every_misshapen_tensor_is_found(
    name: str, damaged: Path, tiny_config: SeededConfig
) -> None:
    tensors = load_file(damaged / name)
    for tensor in sorted(layout.required_shapes(seeded_dims(tiny_config))[name]):
        value = tensors[tensor]
        save_file(tensors | {tensor: value.reshape(*value.shape, 1)}, damaged / name)
        with pytest.raises(CheckpointError, match=r"^asset/.*tensor"):
            load_dims(damaged)


def _resize(name: str, change: Callable[[Any], Any]) -> Callable[[Path, str], None]:
    def apply(folder: Path, file: str) -> None:
        tensors = load_file(folder / file)
        tensors[name] = change(tensors[name])
        save_file(tensors, folder / file)

    return apply


def test_sizes_that_fit_no_model_are_named(damaged: Path) -> None:
    _resize("head.out.weight", lambda w: w[:-1].copy())(damaged, layout.VOCOS)
    with pytest.raises(CheckpointError, match=r"head\.out\.weight: found 65 rows.*n_fft"):
        load_dims(damaged)


def test_a_quantizer_that_contradicts_the_codes_is_named(damaged: Path) -> None:
    name = "vq_layer.quantizer.rvqs.0.project_in.weight"
    _resize(name, lambda w: w[:2].copy())(damaged, layout.DVAE)
    with pytest.raises(CheckpointError, match=r"project_in\.weight: found 2 axes, expected 27"):
        load_dims(damaged)


def test_groups_must_divide_the_code_books(damaged: Path) -> None:
    tensors = load_file(damaged / layout.DVAE)
    for key in [key for key in tensors if ".rvqs.1." in key]:
        tensors[key.replace(".1.", ".2.")] = tensors[key].copy()
    save_file(tensors, damaged / layout.DVAE)
    with pytest.raises(CheckpointError, match=r"found 3 groups, expected a divisor of the 4"):
        load_dims(damaged)
