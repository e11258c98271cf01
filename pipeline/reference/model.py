"""The FP32 PyTorch reference behind the interface that a bundle offers.

Arrays go in and come out, so that validation compares engines without caring which one it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.gpt import KeyValue
from pipeline.reference.load import Modules, load_modules

Array = NDArray[Any]


@dataclass
class State:
    """What a generation carries from step to step."""

    past_key_values: list[KeyValue]
    attention_mask: Tensor
    position_ids: Tensor
    speaker: Tensor


class Reference:
    """The modules of one checkpoint on one device, run eagerly in FP32."""

    def __init__(self, modules: Modules, device: str = "cpu") -> None:
        self.modules, self.device = modules, torch.device(device)
        for module in (
            modules.gpt,
            modules.text_head,
            modules.decoder,
            modules.dvae,
            modules.vocos,
        ):
            module.to(self.device)

    @property
    def dims(self) -> CheckpointDims:
        """Sizes of the checkpoint."""
        return self.modules.dims

    def forced(
        self, text_ids: Array, attention_mask: Array, codes: Array, speaker: Array | None = None
    ) -> tuple[Array, Array]:
        """Run prompts and given codes in one pass.

        Args:
            text_ids: int64 [B, S, num_vq], left padded.
            attention_mask: int64 [B, S], 1 at valid positions.
            codes: int64 [B, T, num_vq].
            speaker: float32 [B, hidden] or None.

        Returns:
            hidden [B, T, hidden] and logits [B, T, num_vq, num_audio_tokens]; entry t predicts
            ``codes[:, t]``.
        """
        batch, prompt = text_ids.shape[:2]
        steps = codes.shape[1]
        ids = self._tensor(np.concatenate((text_ids, codes[:, :-1]), axis=1))
        total = ids.shape[1]
        mask = torch.ones(batch, total, dtype=torch.int64, device=self.device)
        mask[:, :prompt] = self._tensor(attention_mask)
        text_mask = (torch.arange(total, device=self.device) < prompt).expand(batch, total)
        column = torch.arange(prompt - 1, total, device=self.device)
        index = (torch.arange(batch, device=self.device)[:, None] * total + column).reshape(-1)
        with torch.inference_mode():
            hidden, logits, _ = self.modules.gpt(
                ids, text_mask, self._speaker(speaker, batch), mask, _positions(mask), index,
                self._empty_cache(batch),
            )  # fmt: skip
        return (
            hidden.reshape(batch, steps, -1).cpu().numpy(),
            logits.reshape(batch, steps, *logits.shape[1:]).cpu().numpy(),
        )

    def prefill(
        self, text_ids: Array, attention_mask: Array, speaker: Array | None = None
    ) -> tuple[State, Array, Array]:
        """Run prompts; return the state, hidden [B, hidden] and logits [B, num_vq, tokens]."""
        batch, prompt = text_ids.shape[:2]
        mask = self._tensor(attention_mask)
        positions = _positions(mask)
        state = State(self._empty_cache(batch), mask, positions, self._speaker(speaker, batch))
        text_mask = torch.ones(batch, prompt, dtype=torch.bool, device=self.device)
        hidden, logits = self._advance(state, self._tensor(text_ids), text_mask)
        return state, hidden, logits

    def step(self, state: State, codes: Array) -> tuple[Array, Array]:
        """Feed codes int64 [B, num_vq]; return hidden [B, hidden] and the next logits."""
        batch = codes.shape[0]
        one = torch.ones(batch, 1, dtype=torch.int64, device=self.device)
        state.attention_mask = torch.cat((state.attention_mask, one), dim=1)
        state.position_ids = state.position_ids[:, -1:] + 1
        return self._advance(state, self._tensor(codes).unsqueeze(1), torch.zeros_like(one).bool())

    def decode_hidden(self, hidden: Array) -> Array:
        """Map hidden states [B, T, hidden] to a waveform [B, (2 T - 1) * hop_length]."""
        with torch.inference_mode():
            mel = self.modules.decoder(self._tensor(hidden))
            return self.modules.vocos(mel).cpu().numpy()

    def decode_codes(self, codes: Array) -> Array:
        """Map codes int64 [B, T, num_vq] to a waveform [B, (2 T - 1) * hop_length]."""
        with torch.inference_mode():
            return self.modules.vocos(self.modules.dvae.decode(self._tensor(codes))).cpu().numpy()

    def encode(self, waveform: Array) -> Array:
        """Map a waveform [B, samples] to codes int64 [B, T, num_vq]."""
        with torch.inference_mode():
            return self.modules.dvae.encode(self._tensor(waveform)).cpu().numpy()

    def text_logits(self, hidden: Array) -> Array:
        """Map hidden states [N, hidden] to the logits [N, num_text_tokens] of the refine pass."""
        with torch.inference_mode():
            return self.modules.text_head(self._tensor(hidden)).cpu().numpy()

    def _advance(self, state: State, ids: Tensor, text_mask: Tensor) -> tuple[Array, Array]:
        batch, sequence = ids.shape[:2]
        index = torch.arange(sequence - 1, batch * sequence, sequence, device=self.device)
        with torch.inference_mode():
            hidden, logits, state.past_key_values = self.modules.gpt(
                ids, text_mask, state.speaker, state.attention_mask, state.position_ids, index,
                state.past_key_values,
            )  # fmt: skip
        return hidden.cpu().numpy(), logits.cpu().numpy()

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _speaker(self, speaker: Array | None, batch: int) -> Tensor:
        if speaker is None:
            return torch.zeros(batch, self.dims.hidden_size, device=self.device)
        return self._tensor(speaker.astype(np.float32))

    def _empty_cache(self, batch: int) -> list[KeyValue]:
        shape = (batch, self.dims.num_key_value_heads, 0, self.dims.head_dim)
        return [
            (torch.empty(shape, device=self.device), torch.empty(shape, device=self.device))
            for _ in range(self.dims.num_hidden_layers)
        ]


def load_reference(folder: Path, device: str = "cpu") -> Reference:
    """Load the checkpoint in ``folder`` (official layout).

    Raises:
        CheckpointError: see :func:`pipeline.reference.load.load_modules`.
    """
    return Reference(load_modules(folder), device)


def _positions(attention_mask: Tensor) -> Tensor:
    """Count valid positions from zero, int64; padding gets position 0, where nothing reads it."""
    return (attention_mask.cumsum(-1) - 1).clamp_min(0)
