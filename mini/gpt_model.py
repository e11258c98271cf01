"""The GPT as it is trained: the reference's modules, dropout, and lessons beside the codes.

Two attention heads of two layers are pulled towards the token that is being spoken and the one
after it (guided attention, after Tachibana et al. 2017, arXiv:1710.08969, but with the teacher's
own times); the upper ones can go on from what the lower ones found a step before.  Linear maps half
way up name the phoneme of the moment and its place in the token, and one from the hidden states to
mel frames makes them say what the Decoder will need.  None of this is part of the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mini.embedding import TextEmbedding
from mini.phoneme_types import PHONEMES
from mini.text import PLACES
from mini.voices import projection
from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.gpt import Attention, DecoderLayer, Gpt, rotate

GUIDED_LAYERS = (2, 4)
# which token after the spoken one each guided head of a layer looks at
GUIDED_HEADS = (0, 1)
SOUND_LAYER = 3
DROPOUT = 0.0


@dataclass(frozen=True)
class Batch:
    """Sequences, each a prompt followed by its codes, padded on the right.

    Attributes:
        ids: int64 [B, S, num_vq].
        text_mask: bool [B, S].
        speaker: float [B, hidden], of length one or zero.
        rows: int64 [N], flattened positions that predict a step (the end included).
        targets: int64 [N, num_vq].
        looked_at: int64 [N], column of the token spoken at each of them.
        phonemes: int64 [N], number of the phoneme spoken.
        places: int64 [N], which phoneme of its token that is.
        mel: float [N, 2 * num_mels], zero at the end.
        voiced: bool [N], false at the end.
    """

    ids: Tensor
    text_mask: Tensor
    speaker: Tensor
    rows: Tensor
    targets: Tensor
    looked_at: Tensor
    phonemes: Tensor
    places: Tensor
    mel: Tensor
    voiced: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class TextBatch:
    """Sequences of text alone: ``ids`` int64 [B, S], ``rows`` [N] that predict ``targets`` [N]."""

    ids: Tensor
    rows: Tensor
    targets: Tensor


class TrainableGpt(nn.Module):
    """A :class:`pipeline.reference.gpt.Gpt` with what only training needs around it."""

    def __init__(self, dims: CheckpointDims, speaker_id: int, mel_scale: float) -> None:
        super().__init__()
        self.dims, self.mel_scale, self.speaker_id = dims, mel_scale, speaker_id
        self.gpt = Gpt(dims, speaker_id)
        # the sums of ``text`` take its place in the checkpoint
        self.gpt.embed.emb_text = None  # type: ignore[assignment]
        self.text = TextEmbedding(dims.hidden_size)
        self.mel_head = nn.Linear(dims.hidden_size, 2 * dims.num_mels)
        self.sound_head = nn.Linear(dims.hidden_size, len(PHONEMES) + 1)
        self.dropout = nn.Dropout(DROPOUT)
        self.place_head = nn.Linear(dims.hidden_size, PLACES)
        self._initialise()

    def _initialise(self) -> None:
        width, layers = self.dims.hidden_size, self.dims.num_hidden_layers
        nn.init.normal_(self.gpt.embed.emb_code.weight, std=0.5 * width**-0.5)
        for layer in self.layers:
            for part in layer.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=part.in_features**-0.5)
            for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(last.weight, std=(2 * layers * last.in_features) ** -0.5)
        nn.init.normal_(self.gpt.head_code.weight, std=0.5 * width**-0.5)
        # the first layer's values start with a voice's coordinates, which are few among many
        rows = torch.from_numpy(projection(width))
        values = self.layers[0].self_attn.v_proj.weight
        with torch.no_grad():
            for head in range(self.dims.num_attention_heads):
                start = head * self.dims.head_dim
                values[start : start + len(rows)] = rows

    @property
    def layers(self) -> list[DecoderLayer]:
        """The decoder layers."""
        return cast("list[DecoderLayer]", list(self.gpt.layers))

    def embed(self, batch: Batch) -> Tensor:
        """Return embeddings [B, S, hidden], as the reference's module makes them."""
        text_ids = batch.ids[..., 0][batch.text_mask]
        codes = torch.where(batch.text_mask.unsqueeze(-1), 0, batch.ids) + self.gpt.embed.offsets
        x = self.gpt.embed.emb_code(codes).sum(2)
        text = self.text(text_ids).to(x.dtype)
        row = batch.text_mask.nonzero()[:, 0]
        speaker = batch.speaker[row]
        spoken = (text_ids == self.speaker_id) & (speaker.abs().sum(-1) > 0)
        text = torch.where(spoken.unsqueeze(-1), speaker.to(x.dtype), text)
        return x.masked_scatter(batch.text_mask.unsqueeze(-1), text)

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return of ``batch.rows`` the hidden states [N, hidden], where the guided heads look
        [N, heads, S], and the states half way up [N, hidden]."""
        return self._run(self.dropout(self.embed(batch)), batch.rows)

    def _run(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sequence = x.shape[1]
        cos, sin = self.gpt.cos[:sequence], self.gpt.sin[:sequence]
        # written out, for on a CPU the fused kernel's backward pass costs more than all its matmuls
        future = x.new_full((sequence, sequence), float("-inf")).triu(1)
        halfway = x.new_empty(0)
        looking: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            attended, seen = self._attend(
                layer.self_attn, layer.input_layernorm(x), cos, sin, future,
                rows if index in GUIDED_LAYERS else None,
            )  # fmt: skip
            looking += [] if seen is None else [seen]
            x = x + self.dropout(attended)
            x = x + self.dropout(layer.mlp(layer.post_attention_layernorm(x)))
            if index == SOUND_LAYER:
                halfway = x.reshape(-1, self.dims.hidden_size).index_select(0, rows)
        chosen = x.reshape(-1, self.dims.hidden_size).index_select(0, rows)
        return self.gpt.norm(chosen), torch.cat(looking, 1), halfway

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
        seen = weights[:, : len(GUIDED_HEADS)].float().transpose(1, 2)
        return out, seen.reshape(-1, len(GUIDED_HEADS), sequence).index_select(0, rows)

    @torch.no_grad()
    def hear_itself(self, batch: Batch, replaced: Tensor, temperature: float) -> Batch:
        """Return the batch with codes that the GPT would say instead of those it should have heard.

        Args:
            batch: of true codes.
            replaced: bool [N], which of ``batch.rows``.
            temperature: of the draw.
        """
        hidden, _, _ = self.hidden(batch)
        logits = self.gpt.head_code(hidden).float()
        # without the last, which is the end
        logits = logits.view(-1, self.dims.num_vq, self.dims.num_audio_tokens)[..., :-1]
        noise = -torch.empty_like(logits).exponential_().log()
        said = (logits / temperature + noise).argmax(-1)
        ids = batch.ids.clone()
        chosen = replaced & batch.voiced
        # a row predicts the step after it
        ids.view(-1, self.dims.num_vq)[batch.rows[chosen] + 1] = said[chosen]
        return replace(batch, ids=ids)

    def losses(self, batch: Batch, guide: float, mel: float, sound: float) -> dict[str, Tensor]:
        """Return the named losses of a batch; the numbers weigh the three lessons."""
        hidden, looking, halfway = self.hidden(batch)
        logits = self.gpt.head_code(hidden)
        logits = logits.view(-1, self.dims.num_vq, self.dims.num_audio_tokens)
        code = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        column = torch.arange(looking.shape[2], device=looking.device)
        ahead = torch.tensor(GUIDED_HEADS * len(GUIDED_LAYERS), device=looking.device)
        wanted = batch.looked_at[:, None, None] + ahead[:, None]
        near = (looking * torch.exp(-2.0 * (column - wanted).float().square())).sum(-1)
        look = -torch.log(near + 1e-4).mean()
        frames = self.mel_head(hidden)[batch.voiced]
        mel_loss = F.l1_loss(frames, batch.mel[batch.voiced] / self.mel_scale)
        halfway = F.rms_norm(halfway, halfway.shape[-1:])
        named = self.sound_head(halfway)
        sounds = F.cross_entropy(named, batch.phonemes)
        place = F.cross_entropy(self.place_head(halfway), batch.places)
        losses = {
            "total": code + guide * look + mel * mel_loss + sound * (sounds + place),
            "code": code,
            "look": look,
            "mel": mel_loss,
            "sound": sounds,
            "place": place,
        }
        if not self.training:
            losses["accuracy"] = (logits.argmax(-1) == batch.targets).float().mean()
            losses["sound_accuracy"] = (named.argmax(-1) == batch.phonemes).float().mean()
        return losses

    def text_loss(self, batch: TextBatch) -> Tensor:
        """Return the loss of the text head, which is the table of text embeddings."""
        hidden, _, _ = self._run(self.text(batch.ids), batch.rows)
        return F.cross_entropy(hidden @ self.text.table().t().to(hidden.dtype), batch.targets)
