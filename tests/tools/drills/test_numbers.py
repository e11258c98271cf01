"""Short form of the drill of numbers, and that it can fail."""

from __future__ import annotations

import numpy as np

from tools.drills import numbers


def test_no_draw_leaves_the_allowed_set() -> None:
    for made, wrong in numbers.attack(8_000, seed=3).values():
        assert made >= 4_000
        assert wrong == 0


def test_a_token_outside_is_counted() -> None:
    """The plain rules let hardly any of all tokens through, so a sampler without them fails."""
    random = np.random.default_rng(0)
    case = numbers.random_case(random)
    shape = (1, numbers.ROWS, numbers.HEADS)
    tokens = random.integers(0, numbers.VOCABULARY, shape)
    assert numbers.outside(case, tokens) > tokens.size // 4
    ends = np.full(shape, numbers.VOCABULARY - 1)
    assert numbers.outside(case, ends) >= numbers.HEADS * case.forbid_end.sum()


def test_the_sampler_s_own_picks_are_allowed_to_the_last_one() -> None:
    """Without the rule that keeps the end out, the same draws would be counted."""
    random = np.random.default_rng(1)
    case = numbers.random_case(random)
    free = numbers.Case(case.logits, case.history, case.params, np.zeros_like(case.forbid_end))
    case.logits[:, :, -1] = 1e4
    assert numbers.outside(case, numbers.draw_host(free, random)) > 0
    assert numbers.outside(case, numbers.draw_host(case, random)) == 0
