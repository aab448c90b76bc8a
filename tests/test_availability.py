"""Actions that agents do not have: they change no contract, and nobody takes them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.contracts import minimal_contract, observed_action_contract
from jaxparl.learning.availability import (
    only_available,
    only_available_outcomes,
    random_action,
)

ACTIONS, OUTCOMES = 5, 4


def draw(seed):
    """Q-values, probabilities, and what is available, of which action 0 is not always a part."""
    rng = np.random.default_rng(seed)
    q = np.float32(rng.normal(size=ACTIONS) * 10 ** rng.uniform(-2, 2))
    probs = np.float32(rng.dirichlet(np.ones(OUTCOMES), size=ACTIONS))
    there = rng.permutation(ACTIONS) < rng.integers(2, ACTIONS)
    return q, probs, there, np.float32(rng.uniform(0, 0.5))


@pytest.mark.parametrize("is_observed", [True, False], ids=["observed", "hidden"])
def test_a_contract_is_that_of_the_game_without_the_other_actions(is_observed):
    solved, games = 0, 40 if is_observed else 12  # of every number of actions
    for seed in range(games):
        q, probs, there, nudge = draw(seed)
        masked = only_available(jnp.asarray(q), jnp.asarray(there), nudge)
        rows = only_available_outcomes(jnp.asarray(probs), jnp.asarray(there))
        own_q, own_rows = jnp.asarray(q[there]), jnp.asarray(probs[there])
        for place, action in enumerate(np.flatnonzero(there)):
            if is_observed:
                found = observed_action_contract(masked, action, nudge)
                own = observed_action_contract(own_q, place, nudge)
            else:
                found = minimal_contract(masked, rows, action, nudge)
                own = minimal_contract(own_q, own_rows, place, nudge)
            assert found.implementable == own.implementable
            solved += int(found.expected_payment > 0)
            np.testing.assert_allclose(found.expected_payment, own.expected_payment, rtol=1e-4)
    assert solved > games


def test_an_action_that_is_not_there_is_never_the_best():
    for seed in range(40):
        q, _, there, _ = draw(seed)
        for scale in (0, 1, 1e6):
            masked = only_available(jnp.asarray(scale * q), jnp.asarray(there))
            assert there[int(jnp.argmax(masked))]
            np.testing.assert_array_equal(masked[there], np.float32(scale * q[there]))


def test_whatever_is_available_is_explored_as_often():
    there = jnp.array([[False, True, True, False, True], [True, False, False, False, False]])
    which = jnp.linspace(0, 1, 3_000, endpoint=False)
    drawn = jax.vmap(lambda which: random_action(jnp.stack([which, which]), 5, there))(which)
    counts = (drawn[..., None] == jnp.arange(5)).sum(axis=0)
    assert counts.tolist() == [[0, 1_000, 1_000, 0, 1_000], [3_000, 0, 0, 0, 0]]


def test_where_everything_is_available_nothing_is_computed():
    q, probs = jnp.ones(3), jnp.ones((3, 3))
    assert only_available(q, None) is q
    assert only_available_outcomes(probs, None) is probs
