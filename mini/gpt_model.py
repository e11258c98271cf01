"""The GPT as it is trained: the reference's modules, dropout, and a lesson where to look.

Attention heads of one layer are pulled towards the letter that is being spoken (guided attention,
after Tachibana et al. 2017, arXiv:1710.08969, but with the teacher's own letter times).  A linear
map from hidden states to mel frames makes them say what the Decoder will need.  Neither is part
of the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.gpt import Attention, DecoderLayer, Gpt, rotate

GUIDED_LAYER = 2
GUIDED_HEADS = 2
DROPOUT = 0.1
# embeddings start as large as a speaker vector, which has length one
EMBEDDING_SCALE = 1.0


@dataclass(frozen=True)
class Batch:
    """Sequences, each a prompt followed by its codes, padded on the right.

    Attributes:
        ids: int64 [B, S, num_vq].
        text_mask: bool [B, S].
        speaker: float [B, hidden].
        rows: int64 [N], flattened positions that predict a step (the end included).
        targets: int64 [N, num_vq].
        looked_at: int64 [N], column of the token spoken at each of them.
        mel: float [N, 2 * num_mels], zero at the end.
        voiced: bool [N], false at the end.
    """

    ids: Tensor
    text_mask: Tensor
    speaker: Tensor
    rows: Tensor
    targets: Tensor
    looked_at: Tensor
    mel: Tensor
    voiced: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(value.to(device) for value in vars(self).values()))


class TrainableGpt(nn.Module):
    """A :class:`pipeline.reference.gpt.Gpt` with what only training needs around it."""

    def __init__(self, dims: CheckpointDims, speaker_id: int, mel_scale: float) -> None:
        super().__init__()
        self.dims, self.mel_scale = dims, mel_scale
        self.gpt = Gpt(dims, speaker_id)
        self.mel_head = nn.Linear(dims.hidden_size, 2 * dims.num_mels)
        self.dropout = nn.Dropout(DROPOUT)
        self._initialise()

    def _initialise(self) -> None:
        width, layers = self.dims.hidden_size, self.dims.num_hidden_layers
        nn.init.normal_(self.gpt.embed.emb_text.weight, std=EMBEDDING_SCALE * width**-0.5)
        nn.init.normal_(self.gpt.embed.emb_code.weight, std=0.5 * EMBEDDING_SCALE * width**-0.5)
        for layer in self.layers:
            for part in layer.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=part.in_features**-0.5)
            for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(last.weight, std=(2 * layers * last.in_features) ** -0.5)
        nn.init.normal_(self.gpt.head_code.weight, std=0.5 * width**-0.5)

    @property
    def layers(self) -> list[DecoderLayer]:
        """The decoder layers."""
        return cast("list[DecoderLayer]", list(self.gpt.layers))

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return hidden states [N, hidden] of ``batch.rows`` and where those rows look [N, S]."""
        x = self.dropout(self.gpt.embed(batch.ids, batch.text_mask, batch.speaker))
        sequence = x.shape[1]
        cos, sin = self.gpt.cos[:sequence], self.gpt.sin[:sequence]
        # written out, for on a CPU the fused kernel's backward pass costs more than all its matmuls
        future = x.new_full((sequence, sequence), float("-inf")).triu(1)
        looking = x.new_empty(0)
        for index, layer in enumerate(self.layers):
            attended, seen = self._attend(
                layer.self_attn, layer.input_layernorm(x), cos, sin, future,
                batch.rows if index == GUIDED_LAYER else None,
            )  # fmt: skip
            looking = looking if seen is None else seen
            x = x + self.dropout(attended)
            x = x + self.dropout(layer.mlp(layer.post_attention_layernorm(x)))
        rows = x.reshape(-1, self.dims.hidden_size)
        return self.gpt.norm(rows.index_select(0, batch.rows)), looking

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        future: Tensor,
        rows: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        size, sequence, _ = x.shape
        heads, width = self.dims.num_attention_heads, self.dims.head_dim

        def split(projected: Tensor) -> Tensor:
            return projected.view(size, sequence, heads, width).transpose(1, 2)

        query = rotate(split(attention.q_proj(x)), cos, sin)
        key = rotate(split(attention.k_proj(x)), cos, sin)
        # right padding: no valid row can see it under a causal mask
        weights = (query @ key.transpose(-1, -2) * width**-0.5 + future).softmax(-1)
        out = weights.to(query.dtype) @ split(attention.v_proj(x))
        out = attention.o_proj(out.transpose(1, 2).reshape(size, sequence, -1))
        if rows is None:
            return out, None
        seen = weights[:, :GUIDED_HEADS].float().mean(1)
        return out, seen.reshape(-1, sequence).index_select(0, rows)

    def losses(self, batch: Batch, guide: float, mel: float) -> dict[str, Tensor]:
        """Return the named losses of a batch; ``guide`` and ``mel`` weigh the two lessons."""
        hidden, looking = self.hidden(batch)
        logits = self.gpt.head_code(hidden)
        logits = logits.view(-1, self.dims.num_vq, self.dims.num_audio_tokens)
        code = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        column = torch.arange(looking.shape[1], device=looking.device)
        distance = (column - batch.looked_at.unsqueeze(1)).float()
        near = (looking * torch.exp(-0.5 * distance.square())).sum(-1)
        look = -torch.log(near + 1e-4).mean()
        frames = self.mel_head(hidden)[batch.voiced]
        mel_loss = F.l1_loss(frames, batch.mel[batch.voiced] / self.mel_scale)
        right = (logits.argmax(-1) == batch.targets).float().mean()
        return {
            "total": code + guide * look + mel * mel_loss,
            "code": code,
            "look": look,
            "mel": mel_loss,
            "accuracy": right,
        }
