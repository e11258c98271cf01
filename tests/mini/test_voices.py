from __future__ import annotations

import numpy as np
import pytest

from mini.sizes import mini_dims
from mini.voices import BASES, VOICES, blend, coordinates, speaker_vector, speaker_vectors

SIZE = mini_dims().hidden_size


def test_a_vector_tells_the_coordinates_that_it_was_made_of() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal(len(BASES))
    vector = speaker_vector(wanted, SIZE, rng)
    assert np.isclose(np.linalg.norm(vector), 1)
    assert np.allclose(coordinates(3 * vector), wanted, atol=1e-3)


def test_random_vectors_are_voices_as_training_draws_them() -> None:
    found = np.stack(
        [coordinates(np.random.default_rng(seed).standard_normal(SIZE)) for seed in range(400)]
    )
    assert np.allclose(found.mean(0), 0, atol=0.2)
    assert np.allclose(found.std(0), 1, atol=0.2)


@pytest.mark.parametrize("name", VOICES)
def test_a_named_voice_is_nearly_one_of_the_teachers(name: str) -> None:
    vector = speaker_vectors(SIZE)[list(VOICES).index(name)]
    weights = blend(coordinates(vector))
    assert np.isclose(weights.sum(), 1)
    assert weights.max() > 0.95
