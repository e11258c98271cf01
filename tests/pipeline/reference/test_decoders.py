"""Decoder, DVAE and Vocos: shapes, frame order, locality."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.bundles import model_info
from pipeline.reference.convnext import split_frames
from pipeline.reference.load import Modules
from pipeline.reference.model import Reference


def test_split_frames_takes_halves_of_the_channels() -> None:
    x = torch.arange(12.0).view(1, 4, 3)
    assert split_frames(x).tolist() == [[[0, 6, 1, 7, 2, 8], [3, 9, 4, 10, 5, 11]]]


def test_waveform_lengths(smoke_modules: Modules) -> None:
    reference, dims = Reference(smoke_modules), smoke_modules.dims
    hidden = np.zeros((2, 9, dims.hidden_size), dtype=np.float32)
    codes = np.zeros((2, 9, dims.num_vq), dtype=np.int64)
    samples = (2 * 9 - 1) * dims.hop_length
    assert reference.decode_hidden(hidden).shape == (2, samples)
    assert reference.decode_codes(codes).shape == (2, samples)
    assert reference.encode(np.zeros((1, samples), dtype=np.float32)).shape == (1, 9, dims.num_vq)


def test_receptive_field_is_exact(smoke_modules: Modules) -> None:
    """A change of one step reaches as far as the manifest says, and no further."""
    dims = smoke_modules.dims
    reach = model_info(dims).receptive_field.decoder
    torch.manual_seed(0)
    hidden = torch.randn(1, 60, dims.hidden_size)
    changed = hidden.clone()
    changed[:, 30] += 1
    with torch.inference_mode():
        difference = smoke_modules.decoder(changed) - smoke_modules.decoder(hidden)
    frames = difference.abs().amax(dim=(0, 1)).nonzero().flatten()
    # step 30 is frames 60 and 61
    assert frames.min() == 60 - reach
    assert frames.max() == 61 + reach


def test_text_logits(smoke_modules: Modules) -> None:
    dims = smoke_modules.dims
    logits = Reference(smoke_modules).text_logits(np.ones((3, dims.hidden_size), dtype=np.float32))
    assert logits.shape == (3, dims.num_text_tokens)
    assert np.isfinite(logits).all()
