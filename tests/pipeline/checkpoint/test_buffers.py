from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank as oracle

from pipeline.checkpoint.buffers import hann_window, mel_filter_bank


@pytest.mark.parametrize("n_fft", [64, 1024])
def test_the_window_is_torchs(n_fft: int) -> None:
    np.testing.assert_allclose(hann_window(n_fft), torch.hann_window(n_fft).numpy(), atol=1e-6)


@pytest.mark.parametrize(("n_fft", "num_mels"), [(1024, 100), (512, 40)])
def test_the_filter_bank_is_that_of_transformers(n_fft: int, num_mels: int) -> None:
    expected = oracle(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=num_mels,
        min_frequency=0.0,
        max_frequency=12_000.0,
        sampling_rate=24_000,
        norm=None,
        mel_scale="htk",
    )
    bank = mel_filter_bank(n_fft, num_mels, 24_000)
    assert bank.shape == expected.shape
    np.testing.assert_allclose(bank, expected, atol=1e-5)
