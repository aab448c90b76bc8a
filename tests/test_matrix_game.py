"""Repeated matrix games: the textbooks' payoffs, and what can be worked out by hand."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.envs import make
from jaxparl.envs.matrix_game import MatrixState
from jaxparl.equilibrium import solutions_of

# Of one agent, by its own action and the other's.
PAYOFFS = {
    "prisoners_dilemma": [[3, 0], [5, 1]],
    "stag_hunt": [[4, 0], [3, 3]],
    "chicken": [[3, 1], [4, 0]],
}
# Of both agents a step: the best welfare, that of selfish play, and the least that is paid for the
# best. For ever and discounted by 0.9 all of it comes to ten times as much.
BY_HAND = {
    # Both cooperate; both defect; each is paid 5 - 3 for not defecting.
    "prisoners_dilemma": (6, 2, 4),
    # Both hunt the stag, which is an equilibrium, and cannot gain by another action.
    "stag_hunt": (8, 8, 0),
    # Both swerve; one swerves and the other goes straight; each is paid 4 - 3.
    "chicken": (6, 5, 2),
}


def step(payoffs, action, last=0):
    env, params = make("matrix_game", payoffs=payoffs)
    state = MatrixState(last=jnp.int32(last), time=jnp.int32(0))
    found = env.transitions(state, jnp.array(action), jnp.array(action), params)
    assert found.probs.tolist() == [1.0] and not found.terminated.any()
    np.testing.assert_array_equal(found.agent_reward, found.principal_reward)
    return found.agent_reward.tolist(), found.state.last.item()


@pytest.mark.parametrize("payoffs", PAYOFFS)
def test_each_agent_gets_what_the_matrix_says_and_all_remember_what_was_done(payoffs):
    of_one = PAYOFFS[payoffs]
    joint = itertools.product(range(2), repeat=2)
    for number, (first, second) in enumerate(joint):
        rewards, last = step(payoffs, [first, second], last=number)
        assert rewards == [of_one[first][second], of_one[second][first]]
        assert last == 1 + number


@pytest.mark.parametrize("payoffs", PAYOFFS)
def test_exact_values_are_those_of_the_textbooks(payoffs):
    env, params = make("matrix_game", payoffs=payoffs)
    exact = solutions_of(env)
    best, selfish, paid = (10 * value for value in BY_HAND[payoffs])
    np.testing.assert_allclose(exact.optimal_welfare(params), best, rtol=1e-4)
    np.testing.assert_allclose(exact.selfish_play(params).welfare, selfish, rtol=1e-4)
    equilibrium = exact.equilibrium(params)
    np.testing.assert_allclose(equilibrium.welfare, best, rtol=1e-4)
    np.testing.assert_allclose(equilibrium.payment, paid, rtol=1e-4, atol=1e-3)


def test_payoffs_are_params():
    env, params = make("matrix_game")
    exact = solutions_of(env)
    # Whoever defects alone gets 9: it is better to take turns than to cooperate.
    tempting = params.replace(temptation=9.0)
    np.testing.assert_allclose(exact.optimal_welfare(tempting), 90, rtol=1e-4)
    # It is no dilemma if defecting does not pay.
    honest = params.replace(temptation=2.0, punishment=-1.0)
    np.testing.assert_allclose(exact.selfish_play(honest).welfare, 60, rtol=1e-4)


def test_both_see_what_was_done_last_and_at_first_nothing():
    env, params = make("matrix_game")
    assert env.start_probs(params).tolist() == [1, 0, 0, 0, 0]
    state = MatrixState(last=jnp.int32(3), time=jnp.int32(7))
    assert env.get_obs(state).tolist() == [3, 3] and env.state_index(state) == 3
