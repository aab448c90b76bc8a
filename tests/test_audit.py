"""The audit of learned contracts, compared with episodes that are played."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import COIN_ENV, COIN_PARAMS
from untrained import CONFIG, PROBLEM, noise, offered, weights

from jaxparl import evaluation
from jaxparl.envs import make
from jaxparl.evaluation.audit import Audit, audit, solve
from jaxparl.evaluation.rollouts import all_follow, play_episode
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses
from jaxparl.types import Contract, Offer, PlayValue

KEYS = jax.random.split(jax.random.key(0), 4000)


def episodes_of(steps: int) -> Problem:
    """The small Coin Game with another time limit."""
    return PROBLEM._replace(env_params=COIN_PARAMS.replace(max_steps_in_episode=steps))


@jax.jit
def play(env_params, weights, keys):
    """Many episodes in which all follow."""
    learns = make_learner(PROBLEM._replace(env_params=env_params))
    decide = all_follow(learns, weights)
    return jax.vmap(partial(play_episode, learns.problem, decide))(keys)  # over episodes


def test_audited_values_are_the_means_of_episodes_that_are_played():
    problem = episodes_of(10)
    found = audit(problem, offered())
    played = play(problem.env_params, weights(), KEYS)
    utilities = np.asarray(played.agent_reward + played.payment)
    for sampled, exact in (
        (np.asarray(played.agent_reward).sum(axis=1), found.values.welfare),
        (np.asarray(played.payment).sum(axis=1), found.values.payment),
        *zip(utilities.T, found.values.utilities, strict=True),
    ):
        error = sampled.std() / np.sqrt(len(sampled))
        assert abs(sampled.mean() - exact) < 3 * error
        assert error > 0


def test_nobody_does_better_by_following_than_by_the_best_response():
    found = audit(episodes_of(8), offered())
    assert np.all(found.best_responses >= found.values.utilities - 1e-4)
    assert found.deviation_gain > 0.01  # contracts of noise leave something to gain


def test_what_is_paid_beyond_any_gain_leaves_nothing_to_deviate_for():
    count = COIN_ENV.exact.num_states
    action, nothing = jnp.zeros((count, 2), jnp.int32), jnp.zeros((count, 2))
    # More than all coins of an episode: no deviation gets as much.
    payments = jnp.zeros((count, 2, 4)).at[..., 0].set(10.0)
    generous = Offer(
        recommendation=action,
        contract=Contract(payments, nothing, nothing == 0),
        own_action=action,
        agent_value=nothing,
        principal_value=nothing,
    )
    found = audit(episodes_of(8), generous)
    np.testing.assert_allclose(found.best_responses, found.values.utilities, rtol=1e-5)
    assert found.values.payment == pytest.approx(2 * 8 * 10.0)


def test_a_game_without_exact_solutions_is_evaluated_by_episodes():
    env, env_params = make("coin_game", grid_size=5, max_steps_in_episode=5, num_agents=3)
    problem = Problem(CONFIG, env, env_params, CONFIG.hyper_params)
    assert evaluation.solve(problem) == ()

    learns = make_learner(problem)
    evaluate = jax.jit(partial(evaluation.evaluate, learns, ()))
    found = evaluate(noise(learns, jax.random.key(0)), Losses(*jnp.zeros(3)))
    # Per episode of 5 steps: at most a coin a step, worth 1 to its owner.
    assert 0 < found.welfare < 5
    assert found.payment >= 0
    alpha = CONFIG.hyper_params.alpha
    expected = found.welfare - alpha * found.payment
    np.testing.assert_allclose(found.principal_utility, expected, rtol=1e-5)


def test_an_episode_ends_with_its_last_reward_at_the_time_limit():
    shorter, longer = (play(episodes_of(steps).env_params, weights(), KEYS) for steps in (7, 8))
    assert np.all(shorter.env_state.time == 7)
    # The same random numbers: a step more brings no less, and to some it brings a coin.
    assert np.all(longer.agent_reward >= shorter.agent_reward)
    assert np.any(longer.agent_reward > shorter.agent_reward)


def test_gains_on_utilities_that_are_not_positive_are_no_share_of_them():
    """Both go right throughout, and a coin of the other's costs 5: each step is a loss."""
    env_params = COIN_PARAMS.replace(other_reward=-5.0)
    problem = PROBLEM._replace(env_params=env_params)
    count = COIN_ENV.exact.num_states
    action, nothing = jnp.zeros((count, 2), jnp.int32), jnp.zeros((count, 2))
    unpaid = Offer(
        recommendation=action,
        contract=Contract(jnp.zeros((count, 2, 4)), nothing, nothing == 0),
        own_action=action,
        agent_value=nothing,
        principal_value=nothing,
    )
    found = audit(problem, unpaid)
    assert found.values.welfare < 0 and np.all(found.values.utilities < 0)
    assert found.deviation_gain == pytest.approx(1.825, abs=1e-3)
    assert np.isnan(found.relative_deviation_gain)
    assert found.values.payment_share == 0  # nothing is paid


def test_a_gain_is_undefined_where_one_of_the_utilities_is_not_positive():
    best = jnp.array([3.0, 1.0])
    for utilities, expected in (([2.0, 1.0], 0.5), ([2.0, 0.0], np.nan), ([-2.0, 1.0], np.nan)):
        values = PlayValue(jnp.float32(3), jnp.float32(0), jnp.array(utilities))
        np.testing.assert_array_equal(Audit(values, best).relative_deviation_gain, expected)


def test_the_equilibrium_is_of_the_discount_that_is_played():
    env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=20)
    shares = []
    for discount in (0.5, 0.99):
        params = env_params.replace(discount=discount)
        found = solve(Problem(CONFIG, env, params, CONFIG.hyper_params))
        expected = env.exact.equilibrium(params, CONFIG.hyper_params.alpha, discount)
        np.testing.assert_allclose(found.equilibrium_payment_share, expected.payment_share)
        shares.append(float(found.equilibrium_payment_share))
    assert shares[0] != shares[1]
