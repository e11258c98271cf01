"""The GPT graph: prefill and decode in one, with the cache as inputs and outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.export.common import GraphSpec
from pipeline.reference.gpt import Gpt

NAME = "gpt"
# sizes of the example inputs: all different and at least 2, so that none is taken for a constant
BATCH, SEQUENCE, PAST, SELECTED = 2, 3, 5, 4


def cache_names(prefix: str, num_layers: int) -> list[str]:
    """Names of the cache tensors, key then value, layer by layer."""
    return [f"{prefix}.{layer}.{kind}" for layer in range(num_layers) for kind in ("key", "value")]


class FlatGpt(nn.Module):
    """:class:`~pipeline.reference.gpt.Gpt` with its cache as flat arguments."""

    def __init__(self, gpt: Gpt) -> None:
        super().__init__()
        self.gpt = gpt

    def forward(self, *tensors: Tensor) -> Any:
        """Take six tensors and the flat cache; return hidden, logits and the flat cache."""
        flat = tensors[6:]
        past = list(zip(flat[0::2], flat[1::2], strict=True))
        hidden, logits, presents = self.gpt(*tensors[:6], past)
        return (hidden, logits, *(tensor for pair in presents for tensor in pair))


def spec(gpt: Gpt) -> GraphSpec:
    """Describe the GPT graph for export."""
    dims = gpt.dims
    generator = torch.Generator().manual_seed(0)
    cache = (BATCH, dims.num_key_value_heads, PAST, dims.head_dim)
    past = cache_names("past_key_values", dims.num_hidden_layers)
    codes = torch.randint(0, dims.num_audio_tokens, (BATCH, SEQUENCE, dims.num_vq))
    positions = torch.arange(PAST, PAST + SEQUENCE).expand(BATCH, SEQUENCE)
    inputs = {
        "input_ids": codes,
        "text_mask": torch.zeros(BATCH, SEQUENCE, dtype=torch.bool),
        "speaker": torch.randn(BATCH, dims.hidden_size, generator=generator),
        "attention_mask": torch.ones(BATCH, PAST + SEQUENCE, dtype=torch.int64),
        "position_ids": positions.contiguous(),
        "logits_index": torch.arange(SELECTED),
        **{name: torch.randn(cache, generator=generator) for name in past},
    }
    cache_shape = ("batch", dims.num_key_value_heads, "past", dims.head_dim)
    grown_shape = ("batch", dims.num_key_value_heads, "total", dims.head_dim)
    return GraphSpec(
        name=NAME,
        doc=(
            "ChatTTS GPT: text ids or audio codes and a key/value cache to last hidden states "
            "and the logits of every code head at the positions of logits_index."
        ),
        module=FlatGpt(gpt),
        inputs=inputs,
        shapes={
            "input_ids": ("batch", "sequence", dims.num_vq),
            "text_mask": ("batch", "sequence"),
            "speaker": ("batch", dims.hidden_size),
            "attention_mask": ("batch", "total"),
            "position_ids": ("batch", "sequence"),
            "logits_index": ("selected",),
            **dict.fromkeys(past, cache_shape),
        },
        outputs={
            "hidden": ("selected", dims.hidden_size),
            "logits": ("selected", dims.num_vq, dims.num_audio_tokens),
            **dict.fromkeys(cache_names("present", dims.num_hidden_layers), grown_shape),
        },
    )
