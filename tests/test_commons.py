"""The commons: harvest and growth by hand, exact values by a program of its own."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.envs import make
from jaxparl.envs.commons import SPARE, TAKE, CommonsState
from jaxparl.equilibrium import solutions_of


def step(stock, action, num_agents=3, **changes):
    """Rewards, and the stocks that may follow with their probabilities."""
    env, params = make("commons", num_agents=num_agents)
    state = CommonsState(stock=jnp.int32(stock), time=jnp.int32(0))
    action = jnp.array(action)
    found = env.transitions(state, action, action, params.replace(**changes))
    np.testing.assert_array_equal(found.agent_reward, found.principal_reward)
    follows = zip(found.state.stock.tolist(), found.probs.tolist(), strict=True)
    return found.agent_reward.tolist(), {stock: prob for stock, prob in follows if prob > 0}


@pytest.mark.parametrize(
    ("stock", "action", "rewards", "follows"),
    [
        # 3.5 are taken, 8.5 are left and grow by 8.5 (1 - 8.5 / 12), and 0.5 are planted.
        (12, (TAKE, TAKE, SPARE), (1.5, 1.5, 0.3), {11: 1 - 0.47917, 12: 0.47917}),
        # 4.5 are asked of 3: all get 1, and nothing is left.
        (3, (TAKE, TAKE, TAKE), (1, 1, 1), {0: 1.0}),
        # Of 2 units the agents get 3/5, 3/5 and 1/5, and only what is planted grows.
        (1, (TAKE, TAKE, SPARE), (3 / 7, 3 / 7, 1 / 7 - 0.2), {0: 0.5, 1: 0.5}),
        # Where nothing is left all can plant.
        (0, (SPARE, SPARE, SPARE), (-0.2, -0.2, -0.2), {1: 0.5, 2: 0.5}),
        # It never grows beyond the largest stock: 10.5 + 1.3125 + 1.5.
        (12, (SPARE, SPARE, SPARE), (0.3, 0.3, 0.3), {12: 1.0}),
    ],
)
def test_all_harvest_and_the_rest_grows(stock, action, rewards, follows):
    found, stocks = step(stock, action)
    np.testing.assert_allclose(found, rewards, atol=1e-6)
    assert stocks == pytest.approx(follows, abs=1e-4)


def test_what_is_taken_and_what_grows_are_params():
    rewards, follows = step(8, (SPARE, TAKE), num_agents=2, little=0.0, much=2.0, growth=0.0)
    np.testing.assert_allclose(rewards, [-0.2, 2.0], atol=1e-6)
    assert follows == pytest.approx({6: 0.5, 7: 0.5})
    rewards, _ = step(8, (SPARE, SPARE), num_agents=2, little=0.0, planting_cost=0.0)
    assert rewards == [0.0, 0.0]


def solve_by_stock(num_agents, gamma=0.9, backups=400):
    """The best welfare of each stock in float64, by how many agents take much."""
    capacity = 4 * num_agents
    takers, stocks = np.arange(num_agents + 1), np.arange(capacity + 1)
    worth = np.zeros(capacity + 1)
    for _ in range(backups):
        taken = np.minimum(0.5 * num_agents + takers, stocks[:, None])
        left = stocks[:, None] - taken
        sparing = num_agents - takers
        grown = np.minimum(left + left * (1 - left / capacity) + 0.5 * sparing, capacity)
        later = np.interp(grown, stocks, worth)
        worth = np.max(taken - 0.2 * sparing + gamma * later, axis=1)
    return worth


@pytest.mark.parametrize("num_agents", [3, 5])
def test_the_best_welfare_is_that_of_a_program_of_its_own(num_agents):
    env, params = make("commons", num_agents=num_agents)
    exact, best = solutions_of(env), solve_by_stock(num_agents)[-1]
    np.testing.assert_allclose(exact.optimal_welfare(params), best, rtol=1e-4)
    selfish, equilibrium = exact.selfish_play(params), exact.equilibrium(params)
    assert selfish.welfare < 0.6 * best, "a tragedy"
    np.testing.assert_allclose(equilibrium.welfare, best, rtol=1e-4)
    # By taking much, whatever is asked of it, each could get 1.5 a step for ever.
    np.testing.assert_allclose(equilibrium.utilities, 15, rtol=1e-4)


def test_hidden_actions_are_seen_by_noisy_catches():
    env, params = make("commons", hidden=True)
    state = CommonsState(stock=jnp.int32(12), time=jnp.int32(0))
    probs = env.outcome_probs(state, params.replace(noise=0.25))
    np.testing.assert_allclose(probs, [[[0.75, 0.25], [0.25, 0.75]]] * 3)
    assert not env.observed_actions
    # What happens depends on outcomes alone.
    outcome = jnp.array([TAKE, SPARE, SPARE])
    found = [
        env.transitions(state, jnp.array(action), outcome, params)
        for action in itertools.product(range(2), repeat=3)
    ]
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, found[0])
    exact = solutions_of(env)
    assert exact.optimal_welfare(params) < solve_by_stock(3)[-1]
    assert exact.equilibrium(params).welfare > 0.99 * exact.optimal_welfare(params)


def test_everybody_sees_the_stock_and_it_is_large_at_first():
    env, params = make("commons", num_agents=4)
    assert env.start_probs(params).tolist() == [0] * 16 + [1]
    assert env.get_obs(env.initial_state(jax.random.key(0), params)).tolist() == [16] * 4
