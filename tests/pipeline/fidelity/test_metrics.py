from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.fidelity import metrics


def test_log_softmax_of_two_equal_logits_is_minus_ln_two() -> None:
    assert metrics.log_softmax([1e4, 1e4]) == pytest.approx([-math.log(2)] * 2)


def test_kl_divergence_by_hand() -> None:
    # p = (1/2, 1/2), q = (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3)
    reference, variant = np.log([0.5, 0.5]), np.log([0.75, 0.25]) + 7.0
    assert metrics.kl_divergence(reference, variant) == pytest.approx(0.5 * math.log(4 / 3))


def test_kl_divergence_is_directed_and_zero_for_equals() -> None:
    first, second = np.log([0.9, 0.1]), np.log([0.5, 0.5])
    expected = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert metrics.kl_divergence(first, second) == pytest.approx(expected)
    assert metrics.kl_divergence(second, first) != pytest.approx(expected)
    assert metrics.kl_divergence(first, first) == 0.0


def test_kl_divergence_keeps_leading_axes() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4, 11))
    assert metrics.kl_divergence(logits, logits + 1).shape == (3, 4)


def test_top1_agreement_by_hand() -> None:
    reference = [[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]]
    variant = [[0.0, 0.1, 0.0], [0.0, 0.0, 1.0]]
    assert metrics.top1_agreement(reference, variant).tolist() == [1.0, 0.0]


def test_cosine_similarity_by_hand() -> None:
    reference = [[1.0, 0.0], [1.0, 0.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]
    variant = [[1.0, 1.0], [0.0, 2.0], [-3.0, -4.0], [0.0, 0.0], [1.0, 0.0]]
    expected = [1 / math.sqrt(2), 0.0, -1.0, 1.0, 0.0]
    assert metrics.cosine_similarity(reference, variant) == pytest.approx(expected)


def test_mel_l1_by_hand() -> None:
    assert metrics.mel_l1([[0.0, 1.0], [2.0, -1.0]], [[1.0, 1.0], [0.0, 0.0]]) == 1.0


def test_log_spectral_distance_by_hand() -> None:
    # Frame 0 differs by 20 dB and 0 dB, frame 1 by nothing: (sqrt(400 / 2) + 0) / 2.
    reference, variant = [[1.0, 1.0], [1.0, 3.0]], [[0.1, 1.0], [1.0, 3.0]]
    assert metrics.log_spectral_distance(reference, variant) == pytest.approx(math.sqrt(200) / 2)


def test_log_spectral_distance_ignores_what_is_under_the_floor() -> None:
    assert metrics.log_spectral_distance([[0.0], [1.0]], [[1e-6], [1.0]]) == 0.0


@pytest.mark.parametrize(
    ("reference", "variant", "expected"),
    [
        ([1.0, 1.0], [1.1, 0.9], 20.0),
        ([3.0, 4.0], [3.0, 4.5], 20.0),
        ([1.0], [1.0], math.inf),
        ([0.0], [1.0], -math.inf),
    ],
)
def test_snr_db_by_hand(reference: list[float], variant: list[float], expected: float) -> None:
    assert metrics.snr_db(reference, variant) == pytest.approx(expected)


def test_identical_share_counts_missing_steps_as_different() -> None:
    reference = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    variant = np.array([[1, 2], [3, 9]])
    assert metrics.identical_share(reference, variant) == pytest.approx(3 / 8)
    assert metrics.identical_share(reference, reference) == 1.0
    assert metrics.identical_share(reference, reference[:0]) == 0.0
    assert metrics.identical_share(reference[:0], reference[:0]) == 1.0


@pytest.mark.parametrize(
    "metric",
    [
        metrics.kl_divergence,
        metrics.top1_agreement,
        metrics.cosine_similarity,
        metrics.mel_l1,
        metrics.log_spectral_distance,
        metrics.snr_db,
    ],
)
def test_unequal_shapes_are_refused(metric: object) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(1, 3\)"):
        metric(np.ones((2, 3)), np.ones((1, 3)))  # type: ignore[operator]


def test_nan_does_not_hide() -> None:
    damaged = np.array([np.nan, 0.0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(metrics.kl_divergence([0.0, 0.0], damaged))
    assert np.isnan(metrics.mel_l1([0.0, 0.0], damaged))
