from __future__ import annotations

import numpy as np
import pytest

from pipeline.speech.bootstrap import FEWEST, Bootstrap, Ratio

RANDOM = np.random.default_rng(5)


def ratio(above: list[float], below: list[float]) -> Ratio:
    return Ratio(np.array(above), np.array(below))


def test_takes_of_a_sentence_are_summed() -> None:
    found = Ratio.per_sentence([0, 1, 0], [1, 2, 3], [4, 5, 6])
    assert found.numerator.tolist() == [4, 2]
    assert found.denominator.tolist() == [10, 5]


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    values = RANDOM.normal(3.0, 0.5, 400)
    found = Bootstrap(400, 4000, 1).estimate(Ratio(values, np.ones(400)))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 5)


def test_a_difference_is_paired() -> None:
    """Hard and easy sentences spread both variants, and nothing of it is in their difference."""
    hard = RANDOM.normal(3.0, 1.0, 50)
    base, other = Ratio(hard, np.ones(50)), Ratio(hard - 0.2, np.ones(50))
    bootstrap = Bootstrap(50, 500, 1)
    own, change = bootstrap.estimate(other), bootstrap.difference(other, base)
    assert own.high is not None and own.low is not None and own.high - own.low > 0.3
    assert [change.value, change.low, change.high] == pytest.approx([-0.2] * 3)


def test_the_same_seed_draws_the_same() -> None:
    values = Ratio(RANDOM.normal(size=9), np.ones(9))
    assert Bootstrap(9, 50, 3).estimate(values) == Bootstrap(9, 50, 3).estimate(values)
    assert Bootstrap(9, 50, 3).estimate(values) != Bootstrap(9, 50, 4).estimate(values)


def test_few_sentences_have_no_interval() -> None:
    few = FEWEST - 1
    found = Bootstrap(few, 50, 1).estimate(ratio([1.0] * few, [2.0] * few), scale=100)
    assert (found.value, found.low, found.high) == (50.0, None, None)


def test_nothing_to_divide_by_is_not_a_number() -> None:
    found = Bootstrap(9, 50, 1).estimate(ratio([0.0] * 9, [0.0] * 9))
    assert np.isnan(found.value)
    assert found.low is None
