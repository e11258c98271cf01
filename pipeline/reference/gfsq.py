"""Grouped residual finite scalar quantization (Mentzer et al. 2023, arXiv:2309.15505).

The channels are split into groups; each group is projected to as many numbers as there are levels
and quantized a few times over, every residual on a finer grid.  The checkpoint was trained with
``vector_quantize_pytorch`` up to 1.25.1, whose grid shrinks by ``levels - 1`` a residual; later
releases divide by ``levels``, which decodes the checkpoint's codes wrongly, so the table is
written out here.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

BOUND_EPS = 1e-3


class ResidualFSQ(nn.Module):
    """One group: ``dim`` channels to ``residuals`` code indices and back."""

    def __init__(self, dim: int, levels: tuple[int, ...], residuals: int) -> None:
        super().__init__()
        self.levels, self.residuals = levels, residuals
        self.project_in = nn.Linear(dim, len(levels))
        self.project_out = nn.Linear(len(levels), dim)
        self.register_buffer("codebook", _codebook(levels), persistent=False)
        self.register_buffer("scales", _scales(levels, residuals), persistent=False)
        level = torch.tensor(levels)
        stride = torch.cumprod(torch.tensor((1, *levels[:-1])), 0)
        self.register_buffer("half_width", (level // 2).float(), persistent=False)
        self.register_buffer("stride", stride.float(), persistent=False)
        bound = (level - 1) * (1 + BOUND_EPS) / 2
        self.register_buffer("bound_scale", bound.float(), persistent=False)
        # an even number of levels has no middle one: the range that rounds to them ends half a step
        # lower, and what was 0 stays there
        self.offset = 0.0 if levels[0] % 2 else 0.5
        if self.offset:
            shift = torch.atanh(self.offset / bound)
            self.register_buffer("shift", shift.float(), persistent=False)
        self.codebook: Tensor
        self.scales: Tensor
        self.half_width: Tensor
        self.stride: Tensor
        self.bound_scale: Tensor
        self.shift: Tensor

    def bound(self, x: Tensor) -> Tensor:
        """Squash ``x`` [..., len(levels)] into the range that rounds to a level (appendix A.1)."""
        if not self.offset:
            return torch.tanh(x) * self.bound_scale
        return torch.tanh(x + self.shift) * self.bound_scale - self.offset

    def encode(self, x: Tensor) -> Tensor:
        """Quantize ``x`` [B, T, dim] to indices int64 [B, T, residuals]."""
        rest = self.project_in(x)
        indices = []
        for scale in self.scales.unbind(0):
            level = torch.round(self.bound(rest / scale))
            indices.append(((level + self.half_width) * self.stride).sum(-1).to(torch.int64))
            rest = rest - level / self.half_width * scale
        return torch.stack(indices, dim=-1)

    def decode(self, indices: Tensor) -> Tensor:
        """Return the channels [B, T, dim] of ``indices`` [B, T, residuals]."""
        codes = nn.functional.embedding(indices, self.codebook)
        return self.project_out((codes * self.scales).sum(-2))


class GroupedResidualFSQ(nn.Module):
    """Several :class:`ResidualFSQ`, each over its share of the channels.

    Codes are ordered group by group: g0r0, g0r1, g1r0, g1r1 for two groups of two residuals.
    """

    def __init__(self, dim: int, levels: tuple[int, ...], groups: int, residuals: int) -> None:
        super().__init__()
        self.groups = groups
        self.rvqs = nn.ModuleList(
            ResidualFSQ(dim // groups, levels, residuals) for _ in range(groups)
        )

    def encode(self, x: Tensor) -> Tensor:
        """Quantize ``x`` [B, T, dim] to codes int64 [B, T, groups * residuals]."""
        parts = x.chunk(self.groups, dim=-1)
        return torch.cat(
            [rvq.encode(p) for rvq, p in zip(self._groups, parts, strict=True)], dim=-1
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Return the channels [B, T, dim] of ``codes`` [B, T, groups * residuals]."""
        parts = codes.chunk(self.groups, dim=-1)
        return torch.cat(
            [rvq.decode(p) for rvq, p in zip(self._groups, parts, strict=True)], dim=-1
        )

    @property
    def _groups(self) -> list[ResidualFSQ]:
        return cast("list[ResidualFSQ]", list(self.rvqs))


def _codebook(levels: tuple[int, ...]) -> Tensor:
    """All codes [prod(levels), len(levels)] in [-1, 1]; the first level varies fastest."""
    index = torch.arange(int(torch.tensor(levels).prod()))
    digits = []
    for level in levels:
        digits.append(index % level)
        index = index // level
    half = torch.tensor(levels) // 2
    return (torch.stack(digits, dim=-1) - half) / half


def _scales(levels: tuple[int, ...], residuals: int) -> Tensor:
    """Grid size [residuals, len(levels)] of each residual: (levels - 1) ** -i."""
    level = torch.tensor(levels, dtype=torch.float32)
    return torch.stack([(level - 1) ** -i for i in range(residuals)])
