"""What learned contracts are said to earn, against cases where it is known."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl import evaluation, lockstep, oracle, run_state
from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.equilibrium import backward_induction
from jaxparl.types import Contract, Offer

CONFIG = Config(hidden_sizes=(32, 32), replay_capacity=800)


def test_offering_the_equilibriums_contracts_earns_its_utility_in_every_state():
    env, _ = make("game_tree", depth=6)
    params = env.sample_params(jax.random.key(3))
    solution = backward_induction(env.tabular(params), env.horizon)
    states = env.tabular_states()
    at = (states.time, jnp.arange(63))
    zeros = jnp.zeros((63, 1))
    offered = Offer(
        recommendation=solution.action[at][:, None],
        contract=Contract(solution.contract[at][:, None], zeros, zeros > 0),
        own_action=solution.action[at][:, None],
        agent_value=zeros,
        principal_value=zeros,
    )
    response = oracle.respond(env, params, offered)
    np.testing.assert_array_equal(response.action[at], solution.action[at])
    np.testing.assert_allclose(
        response.principal_value[at], solution.principal_value[at], atol=1e-5
    )
    np.testing.assert_allclose(response.agent_value[at], solution.agent_value[at], atol=1e-5)


def ratios(depth: int) -> np.ndarray:
    """The utility ratio of 200 random principals, each on a random tree."""
    env, _ = make("game_tree", depth=depth)
    learner = lockstep.make_learner(CONFIG, env)
    losses = run_state.Losses(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))

    def ratio(key):
        params = env.sample_params(key)
        state = lockstep.init(learner, params, CONFIG.rates, key)
        # Untrained networks of a large scale stand for contracts of every kind.
        noise = jax.tree.map(lambda leaf: 10 * leaf, state.agent.target_params)
        agent = dataclasses.replace(state.agent, target_params=noise)
        state = dataclasses.replace(state, agent=agent)
        exact = evaluation.solve(env, params, CONFIG.rates)
        return evaluation.evaluate(
            learner, params, CONFIG.rates, state, exact, losses
        ).utility_ratio

    return np.asarray(jax.jit(jax.vmap(ratio))(jax.random.split(jax.random.key(1), 200)))


def test_where_nothing_follows_no_contract_beats_the_equilibrium():
    # Deeper games allow commitments that are not subgame-perfect; a single decision does not.
    found = ratios(depth=1)
    assert np.all(found <= 1 + 1e-5)
    assert np.any(found < 0.9)


def test_bad_contracts_earn_less_than_the_equilibrium():
    assert np.median(ratios(depth=5)) < 0.9
