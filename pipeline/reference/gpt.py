"""The GPT of ChatTTS in FP32 PyTorch: a Llama decoder over text and audio-code embeddings.

Parameter names are the checkpoint's, so that a file loads without a renaming table.  Written from
the published tensor names and the Llama architecture (Touvron et al. 2023, arXiv:2302.13971).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.checkpoint.dims import CheckpointDims

KeyValue = tuple[Tensor, Tensor]


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, arXiv:1910.07467) over the last axis."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` [..., size] divided by its root mean square and scaled."""
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.eps))


def rotary_tables(dims: CheckpointDims) -> KeyValue:
    """Cosine and sine tables [max_position_embeddings, head_dim / 2] (arXiv:2104.09864).

    Angles are computed in float64: in float32 the last positions lose four digits.
    """
    half = torch.arange(0, dims.head_dim, 2, dtype=torch.float64)
    inverse = dims.rope_theta ** (-half / dims.head_dim)
    angle = torch.outer(torch.arange(dims.max_position_embeddings, dtype=torch.float64), inverse)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``x`` [B, heads, S, head_dim] by ``cos``/``sin`` [B, 1, S, head_dim / 2].

    Channel i pairs with channel i + head_dim / 2 (the layout of Hugging Face's Llama).
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    """Causal self attention with rotary positions and a concatenated cache."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.heads, self.kv_heads = dims.num_attention_heads, dims.num_key_value_heads
        self.head_dim = dims.head_dim
        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = nn.Linear(dims.hidden_size, width, bias=False)
        self.k_proj = nn.Linear(dims.hidden_size, kv_width, bias=False)
        self.v_proj = nn.Linear(dims.hidden_size, kv_width, bias=False)
        self.o_proj = nn.Linear(width, dims.hidden_size, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, past: KeyValue
    ) -> tuple[Tensor, KeyValue]:
        """Attend from ``x`` [B, S, hidden] to the cache and itself under ``mask`` [B, 1, S, P+S].

        ``past`` holds keys and values [B, kv_heads, P, head_dim]; the grown pair is returned.
        """
        batch, sequence = x.shape[:2]

        def split(projected: Tensor, heads: int) -> Tensor:
            return projected.view(batch, sequence, heads, self.head_dim).transpose(1, 2)

        query = rotate(split(self.q_proj(x), self.heads), cos, sin)
        key = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        value = split(self.v_proj(x), self.kv_heads)
        key = torch.cat((past[0], key), dim=2)
        value = torch.cat((past[1], value), dim=2)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, enable_gqa=self.heads != self.kv_heads
        )
        merged = attended.transpose(1, 2).reshape(batch, sequence, self.heads * self.head_dim)
        return self.o_proj(merged), (key, value)


class MLP(nn.Module):
    """SiLU-gated feed-forward (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dims.hidden_size, dims.intermediate_size, bias=False)
        self.up_proj = nn.Linear(dims.hidden_size, dims.intermediate_size, bias=False)
        self.down_proj = nn.Linear(dims.intermediate_size, dims.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [B, S, hidden] to the same shape."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP, each with a residual."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(dims.hidden_size, dims.rms_norm_eps)
        self.self_attn = Attention(dims)
        self.post_attention_layernorm = RMSNorm(dims.hidden_size, dims.rms_norm_eps)
        self.mlp = MLP(dims)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, past: KeyValue
    ) -> tuple[Tensor, KeyValue]:
        """See :class:`Attention`."""
        attended, present = self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), present


class Embedding(nn.Module):
    """Text and code embeddings with the speaker vector scattered in.

    ``speaker_id`` is the id of ``[spk_emb]`` in the checkpoint's tokenizer.
    """

    def __init__(self, dims: CheckpointDims, speaker_id: int) -> None:
        super().__init__()
        self.speaker_id = speaker_id
        self.emb_text = nn.Embedding(dims.num_text_tokens, dims.hidden_size)
        # the code books lie in one table, so that a step gathers once
        self.emb_code = nn.Embedding(dims.num_vq * dims.num_audio_tokens, dims.hidden_size)
        offsets = torch.arange(dims.num_vq) * dims.num_audio_tokens
        self.register_buffer("offsets", offsets, persistent=False)
        self.offsets: Tensor

    def forward(self, input_ids: Tensor, text_mask: Tensor, speaker: Tensor) -> Tensor:
        """Embed ``input_ids`` [B, S, num_vq] to [B, S, hidden].

        ``text_mask`` [B, S] is true at text positions, whose id stands in ``input_ids[..., 0]``;
        elsewhere the embeddings of the ``num_vq`` codes are summed.  ``speaker`` [B, hidden] is
        normalised to length one and overwrites positions of ``[spk_emb]``; an all-zero row means
        no speaker.
        """
        # each table sees its own ids only: a code may exceed a small text vocabulary
        text_ids = torch.where(text_mask, input_ids[..., 0], 0)
        code_ids = torch.where(text_mask.unsqueeze(-1), 0, input_ids) + self.offsets
        embedded = torch.where(
            text_mask.unsqueeze(-1), self.emb_text(text_ids), self.emb_code(code_ids).sum(2)
        )
        length = torch.linalg.vector_norm(speaker, dim=-1, keepdim=True)
        direction = speaker / length.clamp_min(1e-12)
        scatter = (text_ids == self.speaker_id) & (length > 0)
        return torch.where(scatter.unsqueeze(-1), direction.unsqueeze(1), embedded)


class Projection(nn.Linear):
    """A bias-free linear of rows [N, in] that exports as MatMul, as those of layers do.

    PyTorch turns a 2-D linear into a Gemm, which fusion and quantization would treat apart.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Map ``input`` [N, in] to [N, out]."""
        return torch.matmul(input, self.weight.t())


class Gpt(nn.Module):
    """Embeddings, decoder layers, final norm and the code heads."""

    def __init__(self, dims: CheckpointDims, speaker_id: int) -> None:
        super().__init__()
        self.dims = dims
        self.embed = Embedding(dims, speaker_id)
        self.layers = nn.ModuleList(DecoderLayer(dims) for _ in range(dims.num_hidden_layers))
        self.norm = RMSNorm(dims.hidden_size, dims.rms_norm_eps)
        self.head_code = Projection(dims.hidden_size, dims.num_vq * dims.num_audio_tokens)
        cos, sin = rotary_tables(dims)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.cos: Tensor
        self.sin: Tensor

    def forward(
        self,
        input_ids: Tensor,
        text_mask: Tensor,
        speaker: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        logits_index: Tensor,
        past_key_values: list[KeyValue],
    ) -> tuple[Tensor, Tensor, list[KeyValue]]:
        """Run ``S`` positions after a cache of ``P``.

        Args:
            input_ids: int64 [B, S, num_vq], see :class:`Embedding`.
            text_mask: bool [B, S].
            speaker: float [B, hidden].
            attention_mask: int64 [B, P + S], 1 at valid positions.
            position_ids: int64 [B, S].
            logits_index: int64 [N], rows of the flattened B*S whose results are wanted.
            past_key_values: per layer, keys and values [B, kv_heads, P, head_dim].

        Returns:
            hidden [N, hidden] after the final norm, logits [N, num_vq, num_audio_tokens], and
            the cache grown by S.
        """
        x = self.embed(input_ids, text_mask, speaker)
        sequence, total = x.shape[1], attention_mask.shape[1]
        cos = F.embedding(position_ids, self.cos).unsqueeze(1)
        sin = F.embedding(position_ids, self.sin).unsqueeze(1)
        row = torch.arange(sequence, device=x.device).unsqueeze(1) + (total - sequence)
        column = torch.arange(total, device=x.device)
        # a padding row sees itself: with nothing to see its softmax would be NaN, and spread
        mask = (column <= row) & attention_mask.bool()[:, None, None, :] | (column == row)
        presents = []
        for layer, past in zip(self.layers, past_key_values, strict=True):
            x, present = layer(x, cos, sin, mask, past)
            presents.append(present)
        rows = x.reshape(-1, self.dims.hidden_size)
        hidden = self.norm(torch.index_select(rows, 0, logits_index))
        logits = self.head_code(hidden)
        shape = (-1, self.dims.num_vq, self.dims.num_audio_tokens)
        return hidden, logits.view(shape), presents
