"""ConvNeXt blocks (Liu et al. 2022, arXiv:2201.03545) of Decoder, DVAE and Vocos."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.checkpoint.dims import ConvNeXtDims

NORM_EPS = 1e-6


class ConvNeXtBlock(nn.Module):
    """Depthwise conv, norm, two-layer MLP and layer scale around a residual.

    ``scale_name`` is what the checkpoint calls the layer scale: ``weight`` in the Decoder and the
    DVAE, ``gamma`` in Vocos.
    """

    def __init__(self, dims: ConvNeXtDims, scale_name: str) -> None:
        super().__init__()
        width = dims.hidden
        self.dwconv = nn.Conv1d(
            width,
            width,
            dims.kernel,
            padding=dims.dilation * (dims.kernel // 2),
            dilation=dims.dilation,
            groups=width,
        )
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(width, dims.intermediate)
        self.pwconv2 = nn.Linear(dims.intermediate, width)
        self.scale_name = scale_name
        self.register_parameter(scale_name, nn.Parameter(torch.ones(width)))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [B, dim, T] to the same shape."""
        y = self.norm(self.dwconv(x).transpose(1, 2))
        y = self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + (getattr(self, self.scale_name) * y).transpose(1, 2)


class ConvStack(nn.Module):
    """``conv_in`` (two k3 convs), ConvNeXt blocks, ``conv_out`` (k1, no bias)."""

    def __init__(self, dims: ConvNeXtDims) -> None:
        super().__init__()
        self.conv_in = nn.Sequential(
            nn.Conv1d(dims.in_channels, dims.bottleneck, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(dims.bottleneck, dims.hidden, 3, padding=1),
        )
        self.decoder_block = nn.ModuleList(
            ConvNeXtBlock(dims, "weight") for _ in range(dims.num_layers)
        )
        self.conv_out = nn.Conv1d(dims.hidden, dims.out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [B, in_channels, T] to [B, out_channels, T]."""
        x = self.conv_in(x)
        for block in self.decoder_block:
            x = block(x)
        return self.conv_out(x)


def split_frames(x: Tensor) -> Tensor:
    """Turn steps of ``2C`` channels [B, 2C, T] into twice as many frames [B, C, 2T].

    Frame 2t holds the first half of step t's channels, frame 2t+1 the second.
    """
    batch, channels, steps = x.shape
    halves = x.view(batch, 2, channels // 2, steps)
    return halves.permute(0, 2, 3, 1).reshape(batch, channels // 2, 2 * steps)
