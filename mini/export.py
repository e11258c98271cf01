"""Step 7: the trained weights in the official layout, ``python -m mini.export``.

Modules that are not trained yet are written with their random start, so that a checkpoint of the
right form exists from the first minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from chattts_onnx.voices.vectors import encode_speaker
from mini.sizes import MAX_BYTES, mini_dims
from mini.tokenizer import write_tokenizer
from mini.train_decoder import build_decoder
from mini.train_dvae import build_dvae
from mini.train_gpt import build_gpt
from mini.trainer import averaged_weights
from mini.voices import VOICES, speaker_vectors
from mini.workspace import seed_everything, work_folder
from pipeline.checkpoint import layout
from pipeline.checkpoint.dims import CheckpointDims, load_dims
from pipeline.core import atomic
from pipeline.reference.vocos import Vocos

Tensors = dict[str, Tensor]


def weight_norm(name: str, weight: Tensor) -> Tensors:
    """Split ``weight`` [out, in] into gain g and direction v, as the official heads are stored."""
    prefix = f"{name}.parametrizations.weight.original"
    gain = weight.double().norm(dim=1, keepdim=True).float()
    return {f"{prefix}0": gain, f"{prefix}1": weight}


def embed_tensors(dims: CheckpointDims, gpt: Tensors) -> Tensors:
    """Embeddings and heads; the text head is the text embedding, and was trained so."""
    text = gpt["text"]
    tensors = {"emb_text.weight": text, **weight_norm("head_text", text.clone())}
    codes = gpt["gpt.embed.emb_code.weight"].chunk(dims.num_vq)
    heads = gpt["gpt.head_code.weight"].chunk(dims.num_vq)
    for index, (code, head) in enumerate(zip(codes, heads, strict=True)):
        tensors[f"emb_code.{index}.weight"] = code
        tensors |= weight_norm(f"head_code.{index}", head)
    return tensors


def gpt_tensors(weights: Tensors, dims: CheckpointDims) -> Tensors:
    """Return the GPT's weights, and all text embeddings as ``text``."""
    model = build_gpt(dims)
    model.load_state_dict(weights)
    with torch.no_grad():
        return weights | {"text": model.text.table()}


def collect(work: Path, dims: CheckpointDims) -> dict[str, Tensors]:
    """Return file -> tensor name -> tensor of the whole checkpoint."""

    def weights(name: str, module: torch.nn.Module) -> Tensors:
        trained = averaged_weights(work, name)
        if trained is None:
            print(f"{name}: not trained yet, random weights are written")
        return dict(module.state_dict()) if trained is None else trained

    gpt = gpt_tensors(weights("gpt", build_gpt(dims)), dims)
    layers = {
        key.removeprefix("gpt."): value
        for key, value in gpt.items()
        if key.startswith(("gpt.layers.", "gpt.norm."))
    }
    dvae = weights("dvae", build_dvae(dims))
    renamed = {
        key.replace("quantizer.", "vq_layer.quantizer.", 1)
        if key.startswith("quantizer.")
        else key: value
        for key, value in dvae.items()
    }
    return {
        layout.GPT: layers,
        layout.EMBED: embed_tensors(dims, gpt),
        layout.DECODER: weights("decoder", build_decoder(dims)),
        layout.DVAE: renamed,
        layout.VOCOS: weights("vocos", Vocos(dims)),
    }


def gpt_config(dims: CheckpointDims) -> dict[str, object]:
    """Return ``config.json``: a LlamaConfig of transformers."""
    names = (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "intermediate_size", "max_position_embeddings", "rope_theta", "rms_norm_eps",
        "num_text_tokens", "num_audio_tokens", "num_vq",
    )  # fmt: skip
    return {
        "architectures": ["LlamaModel"],
        "attention_bias": False,
        "hidden_act": "silu",
        "mlp_bias": False,
        "model_type": "llama",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "vocab_size": 1,
        **{name: getattr(dims, name) for name in names},
    }


def write_checkpoint(work: Path, root: Path, half: bool = False) -> int:
    """Write the checkpoint below ``root``, in half precision if asked, and return its bytes.

    Raises:
        ValueError: it is larger than :data:`mini.sizes.MAX_BYTES`.
    """
    seed_everything(0)
    dims = mini_dims()
    total = 0
    for file, tensors in collect(work, dims).items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = torch.float16 if half else torch.float32
        plain = {
            key: value.detach().to(kind).contiguous().clone() for key, value in tensors.items()
        }
        save_file(plain, path, metadata={"format": "pt"})
        total += path.stat().st_size
    atomic.write_json(root / layout.GPT_CONFIG, gpt_config(dims))
    write_tokenizer(root)
    write_voices(root / "voices", dims)
    if not half and load_dims(root) != dims:
        raise ValueError(f"{root}: found {load_dims(root)}, expected {dims}")
    if half and total > MAX_BYTES:
        raise ValueError(f"{root}: found {total} bytes of tensors, expected at most {MAX_BYTES}")
    return total


def write_voices(folder: Path, dims: CheckpointDims) -> None:
    """Write each voice's speaker vector in the text form that ChatTTS users share."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, vector in zip(VOICES, speaker_vectors(dims.hidden_size), strict=True):
        atomic.write_text(folder / f"{name}.txt", encode_speaker(np.asarray(vector)) + "\n")


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--out", help="folder to write (default: <work>/checkpoint)")
    parser.add_argument("--half", action="store_true", help="write half precision, half the bytes")
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    root = Path(arguments.out) if arguments.out else work / "checkpoint"
    print(f"{root}: {write_checkpoint(work, root, arguments.half) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
