"""Write a small random checkpoint with the official classes, in the official layout.

    python -m peer.small_checkpoint --out FOLDER [--seed 0] [--zero-biases] [--full]

Every weight is drawn so that a mistake shows: norm gains, biases, layer scales and `coef` are all
far from their neutral values, and no two stacks have the same width or depth.  With `--zero-biases`
all biases are zero and equal, as the classes make them; `--full` has the sizes of the official
checkpoint, but for the words of the small tokenizer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from ChatTTS.model import DVAE, Embed
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertTokenizerFast, LlamaConfig, LlamaModel  # type: ignore[attr-defined]
from vocos import Vocos
from vocos.feature_extractors import MelSpectrogramFeatures
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone

from peer import layout
from peer.layout import ConvSizes, GptSizes, Sizes, VocosSizes

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTROL_TOKENS = (
    *("[Sasr]", "[Pasr]", "[Easr]", "[Stts]", "[Ptts]", "[Etts]"),
    *("[Sbreak]", "[Pbreak]", "[Ebreak]", "[uv_break]", "[v_break]", "[lbreak]", "[llbreak]"),
    *("[undefine]", "[laugh]", "[spk_emb]", "[empty_spk]", "[music]", "[pure]"),
    *(f"[break_{i}]" for i in range(8)),
    *(f"[laugh_{i}]" for i in range(3)),
    *(f"[oral_{i}]" for i in range(10)),
    *(f"[speed_{i}]" for i in range(10)),
)
CHINESE = "你好世界今天天气很不错我们去公园散步吧的一是在有人这中大来上国"


def vocabulary() -> list[str]:
    """Word pieces of the small tokenizer: letters, digits, marks and some Chinese characters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*BERT_TOKENS, *letters, *(f"##{letter}" for letter in letters)]
    return [*pieces, *",.?!'，。？！、", *dict.fromkeys(CHINESE)]


SIZES = Sizes(
    gpt=GptSizes(
        hidden_size=192,
        intermediate_size=320,
        num_attention_heads=3,
        num_hidden_layers=3,
        max_position_embeddings=4096,
        num_audio_tokens=626,
        num_text_tokens=len(vocabulary()) + len(CONTROL_TOKENS),
        num_vq=4,
    ),
    decoder=ConvSizes(idim=96, odim=96, hidden=48, n_layer=3, bn_dim=24),
    dvae_decoder=ConvSizes(idim=64, odim=64, hidden=40, n_layer=2, bn_dim=16),
    dvae_encoder=ConvSizes(idim=64, odim=128, hidden=40, n_layer=4, bn_dim=16),
    vocos=VocosSizes(
        input_channels=100, dim=56, intermediate_dim=168, num_layers=2, n_fft=1024, hop_length=256
    ),
    vq_dim=128,
    vq_groups=2,
    vq_residuals=2,
)


FULL = Sizes(
    gpt=replace(
        SIZES.gpt,
        hidden_size=768,
        intermediate_size=3072,
        num_attention_heads=12,
        num_hidden_layers=20,
    ),
    decoder=ConvSizes(idim=384, odim=384, hidden=512, n_layer=12, bn_dim=128),
    dvae_decoder=ConvSizes(idim=512, odim=512, hidden=256, n_layer=12, bn_dim=128),
    dvae_encoder=ConvSizes(idim=512, odim=1024, hidden=256, n_layer=12, bn_dim=128),
    vocos=VocosSizes(
        input_channels=100, dim=512, intermediate_dim=1536, num_layers=8, n_fft=1024, hop_length=256
    ),
    vq_dim=1024,
    vq_groups=2,
    vq_residuals=2,
)


def write_checkpoint(
    destination: Path, sizes: Sizes = SIZES, seed: int = 0, zero_biases: bool = False
) -> None:
    """Write `asset/...` under `destination` with weights drawn from `seed`."""
    torch.manual_seed(seed)
    (destination / layout.GPT_FOLDER).mkdir(parents=True, exist_ok=True)
    write_tokenizer(destination / layout.TOKENIZER_FOLDER)
    write_gpt(destination / layout.GPT_FOLDER, sizes.gpt)
    gpt = sizes.gpt
    embed = Embed(gpt.hidden_size, gpt.num_audio_tokens, gpt.num_text_tokens, gpt.num_vq)
    decoder = DVAE(decoder_config=asdict(sizes.decoder), dim=sizes.decoder.idim)
    dvae = DVAE(
        decoder_config=asdict(sizes.dvae_decoder),
        encoder_config=asdict(sizes.dvae_encoder),
        vq_config={
            "dim": sizes.vq_dim,
            "levels": (5, 5, 5, 5),
            "G": sizes.vq_groups,
            "R": sizes.vq_residuals,
        },
        dim=sizes.dvae_decoder.idim,
    )
    for module, name in (
        (embed, layout.EMBED),
        (decoder, layout.DECODER),
        (dvae, layout.DVAE),
        (build_vocos(sizes.vocos), layout.VOCOS),
    ):
        randomise(module)
        if zero_biases:
            for key, tensor in module.named_parameters():
                if key.endswith("bias"):
                    torch.nn.init.zeros_(tensor)
        state = {key: value.detach().contiguous() for key, value in module.state_dict().items()}
        save_file(state, str(destination / name))


def build_vocos(sizes: VocosSizes) -> Vocos:
    """The vocoder with untrained weights."""
    frames = {"n_fft": sizes.n_fft, "hop_length": sizes.hop_length, "padding": "center"}
    return Vocos(
        feature_extractor=MelSpectrogramFeatures(n_mels=sizes.input_channels, **frames),
        backbone=VocosBackbone(
            input_channels=sizes.input_channels,
            dim=sizes.dim,
            intermediate_dim=sizes.intermediate_dim,
            num_layers=sizes.num_layers,
        ),
        head=ISTFTHead(dim=sizes.dim, **frames),
    )


def write_gpt(folder: Path, sizes: GptSizes) -> None:
    """Save a Llama model, and a `config.json` with the keys of the official one."""
    config = LlamaConfig(**asdict(sizes), vocab_size=64, rms_norm_eps=1e-6)
    model = LlamaModel(config)
    randomise(model)
    model.save_pretrained(folder)
    values = {
        "architectures": ["LlamaModel"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "mlp_bias": False,
        "model_type": "llama",
        "num_key_value_heads": sizes.num_attention_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": False,
        "vocab_size": 64,
        **asdict(sizes),
    }
    text = json.dumps(dict(sorted(values.items())), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """Save a WordPiece tokenizer that the official `Tokenizer` opens."""
    vocab = {piece: index for index, piece in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in BERT_TOKENS])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in CONTROL_TOKENS])
    # As in the official file, whose readers have to switch both off.
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding(length=256)
    folder.mkdir(parents=True, exist_ok=True)
    fast = BertTokenizerFast(tokenizer_object=tokenizer, padding_side="left")
    fast.add_special_tokens({"additional_special_tokens": list(CONTROL_TOKENS)})
    fast.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    for extra in ("vocab.txt", "added_tokens.json"):
        (folder / extra).unlink(missing_ok=True)


@torch.no_grad()
def randomise(module: torch.nn.Module) -> None:
    """Draw all parameters (and `coef`) anew; windows and mel filters keep their values."""
    for name, tensor in _drawn(module):
        if name.endswith("coef"):
            sign = torch.randint(0, 2, tensor.shape) * 2.0 - 1.0
            tensor.copy_(sign * torch.empty_like(tensor).uniform_(0.4, 3.0))
        elif name.endswith("original0"):
            tensor.uniform_(0.8, 3.5)
        elif "norm" in name and name.endswith("weight"):
            tensor.normal_(1.0, 0.25)
        elif name.endswith("gamma") or _is_layer_scale(name, tensor):
            tensor.uniform_(-0.6, 0.6)
        elif name.startswith("emb_"):
            tensor.normal_(0.0, 0.02)
        elif name.endswith("bias"):
            tensor.normal_(0.0, 0.2 * _gain(name))
        else:
            tensor.normal_(0.0, _gain(name) * (2.0 / tensor[0].numel()) ** 0.5)


def _gain(name: str) -> float:
    """Scale of a weight: small before norms, so that a wrong epsilon shows in the results."""
    if ".dwconv." in name or name.startswith("backbone.embed."):
        return 0.03
    # Small inputs keep the quantizer's tanh away from saturation.
    return 0.3 if "project_in" in name else 1.0


def _is_layer_scale(name: str, tensor: torch.Tensor) -> bool:
    return tensor.ndim == 1 and name.endswith(".weight") and "decoder_block" in name


def _drawn(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from ((name, b) for name, b in module.named_buffers() if name.endswith("coef"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write asset/ into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zero-biases", action="store_true")
    parser.add_argument("--full", action="store_true", help="the official sizes")
    arguments = parser.parse_args()
    sizes = FULL if arguments.full else SIZES
    write_checkpoint(arguments.out, sizes, arguments.seed, arguments.zero_biases)


if __name__ == "__main__":
    main()
