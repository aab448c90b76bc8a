"""What learned contracts earn according to the evaluation, in cases where it is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from untrained import noise

from jaxparl import evaluation
from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.equilibrium import backward_induction
from jaxparl.evaluation import oracle
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses
from jaxparl.types import Contract, Offer

CONFIG = Config(hidden_sizes=(32, 32), replay_capacity=800)
DEPTH = 5


def test_offering_the_equilibriums_contracts_earns_its_utility_in_every_state():
    env, _ = make("game_tree", depth=DEPTH)
    env_params = env.sample_params(jax.random.key(3))
    solution = backward_induction(env.tabular(env_params), env.horizon)
    states = env.exact.states()
    at = (states.time, states.node)
    zeros = jnp.zeros((env.num_states, 1))
    offered = Offer(
        recommendation=solution.action[at][:, None],
        contract=Contract(solution.contract[at][:, None], zeros, zeros > 0),
        own_action=solution.action[at][:, None],
        agent_value=zeros,
        principal_value=zeros,
    )
    problem = Problem(CONFIG, env, env_params, CONFIG.hyper_params)
    response = oracle.respond(problem, offered)
    np.testing.assert_array_equal(response.action[at], solution.action[at])
    np.testing.assert_allclose(
        response.principal_value[at], solution.principal_value[at], atol=1e-5
    )
    np.testing.assert_allclose(response.agent_value[at], solution.agent_value[at], atol=1e-5)


def ratios(depth: int) -> np.ndarray:
    """The utility ratios of 200 random principals, each on a random tree."""
    env, env_params = make("game_tree", depth=depth)

    def learner_of(env_params):
        return make_learner(Problem(CONFIG, env, env_params, CONFIG.hyper_params))

    @jax.jit
    @jax.vmap
    def ratio(state):
        learns = learner_of(env.sample_params(state.key))
        exact = evaluation.solve(learns.problem)
        return evaluation.evaluate(learns, exact, state, Losses(*jnp.zeros(3))).utility_ratio

    keys = jax.random.split(jax.random.key(1), 200)
    return np.asarray(ratio(noise(learner_of(env_params), keys, (200,))))


def test_where_nothing_follows_no_contract_beats_the_equilibrium():
    # Deeper games allow commitments that are not subgame-perfect; a single decision does not.
    found = ratios(depth=1)
    assert np.all(found <= 1 + 1e-5)
    assert np.any(found < 0.9)


def test_bad_contracts_earn_less_than_the_equilibrium():
    assert np.median(ratios(DEPTH)) < 0.9
