"""The iteration of training with one agent, on small trees."""

from __future__ import annotations

import dataclasses
import functools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.config import Config
from jaxparl.contracts import minimal_contract
from jaxparl.envs import game_tree
from jaxparl.envs.game_tree import GameTree
from jaxparl.learning import learner, lockstep
from jaxparl.learning.learner import make_learner, offer
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, online_weights
from jaxparl.types import Offer, TrainState

CONFIG = Config(
    iterations=1_600,
    evaluation_interval=1_600,
    replay_capacity=12_800,
    hidden_sizes=(32, 32),
    outcome_hidden_sizes=(16,),
)
HYPER_PARAMS = CONFIG.hyper_params
# What a known outcome matrix has for weights.
NO_MODEL = TrainState(params=(), target_params=(), optimizer_state=())
TREE = GameTree(game_tree.Settings(depth=3))


class ObservedTree(GameTree):
    """A tree whose principal sees the actions themselves."""

    observed_actions = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservedTree) and super().__eq__(other)

    __hash__ = GameTree.__hash__


class Trained(NamedTuple):
    """What a run ends with.

    Attributes:
      state: after the last iteration.
      losses: of all iterations.
      outcome_probs: `[S, N, A, O]`, of the principal's model.
      q_truncated: `[S, N, A]`, the agents' values.
      offers: `[S, N]`, by the same weights.
    """

    state: RunState
    losses: Losses
    outcome_probs: jax.Array
    q_truncated: jax.Array
    offers: Offer


@functools.cache
def initialisation(critic):
    """The compiled program `(env_params, key) -> state`, with a learned outcome model."""
    config = dataclasses.replace(CONFIG, critic=critic, outcome_model="learned")

    @jax.jit
    def init(env_params, key):
        return learner.init(make_learner(Problem(config, TREE, env_params, HYPER_PARAMS)), key)

    return init


@functools.cache
def training(critic, outcome_model, env):
    """The compiled program `(env_params, state) -> Trained`."""
    config = dataclasses.replace(CONFIG, critic=critic, outcome_model=outcome_model)

    @jax.jit
    def train(env_params, state):
        problem = Problem(config, env, env_params, HYPER_PARAMS)
        learns = make_learner(problem)
        iterate = partial(lockstep.iterate, learns)
        state, losses = jax.lax.scan(iterate, state, jnp.arange(config.iterations))
        weights = online_weights(state)

        def read(env_state):
            observation = problem.observe(env_state)
            probs = learns.outcome_model.probs(weights.outcome_model, env_state, observation)
            q = learns.agent.q_values(weights.agent, observation, jnp.zeros((1, 0)), probs)
            return probs, q, offer(learns, weights, env_state, jnp.ones(1, bool))

        return Trained(state, losses, *jax.vmap(read)(env.exact.states()))  # over S

    return train


def trained(critic, outcome_model, *, env=TREE, env_params=None, seed=0) -> Trained:
    """Trains on a tree."""
    env_params = TREE.default_params if env_params is None else env_params
    state = initialisation(critic)(env_params, jax.random.key(seed))
    if outcome_model == "known":
        state = dataclasses.replace(state, outcome_model=NO_MODEL)
    return training(critic, outcome_model, env)(env_params, state)


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_an_offer_is_the_best_contractual_q_and_its_least_contract(critic):
    found = trained(critic, "known")
    offers, q_truncated = found.offers, found.q_truncated[:, 0]
    action = offers.recommendation[:, 0]
    contract = partial(minimal_contract, nudge=HYPER_PARAMS.nudge)
    price = jax.jit(jax.vmap(contract, (0, None, 0)))  # over S
    least = price(q_truncated, TREE.default_params.outcome_probs, action)
    np.testing.assert_allclose(offers.contract.payments[:, 0], least.payments, atol=1e-6)
    value = q_truncated[np.arange(7), action] + least.expected_payment
    np.testing.assert_allclose(offers.agent_value[:, 0], value, atol=1e-6)
    assert least.payments.max() > 0.1


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
@pytest.mark.parametrize("outcome_model", ["known", "learned"])
def test_losses_fall_and_stay_finite(critic, outcome_model):
    state, losses, *_ = trained(critic, outcome_model)
    for leaf in jax.tree.leaves((state.agent, state.principal, losses)):
        assert np.isfinite(leaf).all()
    assert losses.agent[550:600].mean() < losses.agent[:5].mean() / 2


def test_a_learned_outcome_model_finds_the_matrix():
    runs = [trained("per_outcome", "learned", seed=seed) for seed in range(4)]
    found = np.array([run.outcome_probs for run in runs])
    # An action that was done 370 times somewhere has shown its outcomes to within 0.016 (one
    # standard error), so one of many is further off than that; on the whole they are not.
    error = np.abs(found - TREE.default_params.outcome_probs)
    assert error.mean() < 0.02
    assert error.max() < 0.1


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_one_agent_with_observed_actions_learns_the_same_by_either_program(critic):
    """Identity outcomes: the closed form of many agents' games against the linear program."""
    env_params = TREE.sample_params(jax.random.key(5))
    env_params = dataclasses.replace(env_params, outcome_probs=jnp.eye(2))
    one, other = (
        trained(critic, "known", env=env, env_params=env_params, seed=5)
        for env in (TREE, ObservedTree(TREE.settings))
    )
    for a, b in zip(*map(jax.tree.leaves, (one[1:], other[1:])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert one.offers.principal_value[0, 0] > 0.1
    assert one.offers.contract.expected_payment.max() > 0.1
