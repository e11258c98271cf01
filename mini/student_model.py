"""A small network that makes the mels of the teacher's vocoder, of what that vocoder reads.

The vocoder is nine tenths of the teacher's work, and only mels and codes are wanted of most speech.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# samples of one decoded frame and of one mel frame
DECODED_HOP, MEL_HOP = 300, 256
CHANNELS, STYLE, MELS = 512, 256, 100
WIDTH, BEFORE, AFTER = 256, 4, 3
PITCHES = 16
LEVEL, SCALE = -1.5, 2.2


class Block(nn.Module):
    """A ConvNeXt block [B, width, T] whose input is shifted by the voice."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 3 * WIDTH)
        self.narrow = nn.Linear(3 * WIDTH, WIDTH)
        self.voice = nn.Linear(STYLE, 2 * WIDTH)
        nn.init.zeros_(self.voice.weight)
        nn.init.zeros_(self.voice.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map ``x`` [B, T, width] in the voice ``style`` [B, 256]."""
        scale, shift = self.voice(style).unsqueeze(1).chunk(2, dim=-1)
        y = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        return x + self.narrow(F.gelu(self.wide(y * (1 + scale) + shift)))


class Student(nn.Module):
    """Decoded frames, pitch and style to log-mel."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(CHANNELS + 2 * PITCHES + 1, WIDTH)
        self.before = nn.ModuleList(Block() for _ in range(BEFORE))
        self.phase = nn.Linear(4, WIDTH)
        self.after = nn.ModuleList(Block() for _ in range(AFTER))
        self.leave = nn.Linear(WIDTH, MELS)

    def forward(self, decoded: Tensor, pitch: Tensor, style: Tensor, times: Tensor) -> Tensor:
        """Return log-mels [B, M, 100].

        Args:
            decoded: [B, frames, 512].
            pitch: Hz [B, frames].
            style: [B, 256].
            times: samples [B, M] at the middle of each mel frame, from the first decoded frame on.
        """
        voiced = (pitch > 20).float()
        octave = torch.log2(pitch.clamp_min(20) / 100)
        turns = octave.unsqueeze(-1) * 2 ** torch.arange(PITCHES, device=pitch.device).div(3)
        known = torch.cat([turns.sin(), turns.cos()], -1) * voiced.unsqueeze(-1)
        x = self.enter(torch.cat([decoded, known, voiced.unsqueeze(-1)], -1))
        for block in self.before:
            x = block(x, style)
        place = (times / DECODED_HOP - 0.5).clamp(0, x.shape[1] - 1)
        low = place.floor().long()
        high = (low + 1).clamp_max(x.shape[1] - 1)
        part = (place - low).unsqueeze(-1)

        def at(index: Tensor) -> Tensor:
            return x.gather(1, index.unsqueeze(-1).expand(-1, -1, WIDTH))

        angle = 2 * torch.pi * part
        turn = torch.cat([angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], -1)
        y = at(low) * (1 - part) + at(high) * part + self.phase(turn)
        for block in self.after:
            y = block(y, style)
        return self.leave(y) * SCALE + LEVEL
