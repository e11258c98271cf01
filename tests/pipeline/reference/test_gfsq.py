"""The quantizer against the documented rules, written out plainly."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.reference.gfsq import GroupedResidualFSQ, ResidualFSQ

LEVELS = (5, 5, 5, 5)


def _plain_code(index: int) -> list[float]:
    digits = [(index // 5**d) % 5 for d in range(4)]
    return [(digit - 2) / 2 for digit in digits]


def test_residual_grid_is_a_quarter_not_a_fifth() -> None:
    assert ResidualFSQ(8, LEVELS, 2).scales.tolist() == [[1.0] * 4, [0.25] * 4]


def test_decode_follows_the_rules() -> None:
    rvq = ResidualFSQ(8, LEVELS, 2)
    indices = torch.tensor([[[0, 624], [7, 312], [130, 5]]])
    with torch.inference_mode():
        found = rvq.decode(indices)[0]
        for row, (first, second) in zip(found, indices[0].tolist(), strict=True):
            pairs = zip(_plain_code(first), _plain_code(second), strict=True)
            code = torch.tensor([a + b / 4 for a, b in pairs])
            torch.testing.assert_close(row, rvq.project_out(code))


def test_encode_follows_the_rules() -> None:
    torch.manual_seed(0)
    rvq = ResidualFSQ(8, LEVELS, 2)
    x = 3 * torch.randn(1, 50, 8)
    with torch.inference_mode():
        found = rvq.encode(x)[0].tolist()
        projected = rvq.project_in(x)[0].tolist()
    for indices, values in zip(found, projected, strict=True):
        rest = list(values)
        for r, index in enumerate(indices):
            scale = 4.0**-r
            levels = [round(math.tanh(v / scale) * 2.002) for v in rest]
            assert index == sum((level + 2) * 5**d for d, level in enumerate(levels))
            rest = [v - level / 2 * scale for v, level in zip(rest, levels, strict=True)]


@pytest.mark.parametrize("level", [2, 4, 8])
def test_even_levels_are_all_reached_and_nothing_else(level: int) -> None:
    """An even number has no middle level: the range lies half a step lower, around the same 0."""
    rvq = ResidualFSQ(8, (level,), 2)
    x = torch.linspace(-4, 4, 501)[:, None]
    with torch.inference_mode():
        found = torch.round(rvq.bound(x))
        assert found.unique().tolist() == list(range(-level // 2, level // 2))
        torch.testing.assert_close(rvq.bound(torch.zeros(1)), torch.zeros(1), atol=1e-6, rtol=0)
        half, offset = (level - 1) * 1.001 / 2, 0.5
        shift = math.atanh(offset / half)
        expected = [math.tanh(v + shift) * half - offset for v in x[:, 0].tolist()]
        torch.testing.assert_close(rvq.bound(x)[:, 0], torch.tensor(expected), atol=1e-5, rtol=0)
        codes = rvq.encode(torch.randn(1, 50, 8))
        assert codes.min() >= 0 and codes.max() < level
        assert rvq.decode(codes).shape == (1, 50, 8)


def test_codes_are_ordered_group_by_group() -> None:
    torch.manual_seed(0)
    gfsq = GroupedResidualFSQ(16, LEVELS, 2, 2)
    x = torch.randn(1, 5, 16)
    with torch.inference_mode():
        codes = gfsq.encode(x)
        assert torch.equal(codes[..., :2], gfsq.rvqs[0].encode(x[..., :8]))
        assert torch.equal(codes[..., 2:], gfsq.rvqs[1].encode(x[..., 8:]))
        assert gfsq.decode(codes).shape == x.shape
