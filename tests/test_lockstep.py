"""The iteration of training with one agent, on small trees."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from jaxparl.config import Config
from jaxparl.contracts import minimal_contract
from jaxparl.envs import game_tree
from jaxparl.envs.game_tree import GameTree
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import online_weights
from jaxparl.types import TrainState

CONFIG = Config(
    iterations=1_600,
    evaluation_interval=1_600,
    replay_capacity=12_800,
    hidden_sizes=(32,),
    outcome_hidden_sizes=(16,),
)
HYPER_PARAMS = CONFIG.hyper_params
# What a known outcome matrix has for weights.
NO_MODEL = TrainState(params=(), target_params=(), optimizer_state=())
TREE = GameTree(game_tree.Settings(depth=3))
TREE_PARAMS = TREE.default_params


class ObservedTree(GameTree):
    """A tree whose principal sees the actions themselves."""

    observed_actions = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservedTree) and super().__eq__(other)

    __hash__ = GameTree.__hash__


class TreeOfStatedSize(GameTree):
    """A tree that says in its params how many states can be observed."""

    @property
    def default_params(self):
        return super().default_params.replace(max_steps_in_episode=self.num_states)

    def observation_space(self, params):
        return spaces.Discrete(int(params.max_steps_in_episode))


def test_networks_have_the_shape_of_the_default_params_where_params_are_traced():
    env = TreeOfStatedSize(game_tree.Settings(depth=3))

    def weights(env_params):
        return learner_of("per_action", "learned", env, env_params).init(jax.random.key(0))

    state = jax.eval_shape(weights, env.default_params)
    table = state.agent.params["params"]["Embed_0"]["embedding"]
    assert table.shape[0] == env.num_states


def learner_of(critic, outcome_model, env, env_params):
    """The learner of one kind of critics and outcome model."""
    config = dataclasses.replace(CONFIG, critic=critic, outcome_model=outcome_model)
    return make_learner(Problem(config, env, env_params, HYPER_PARAMS))


@functools.cache
def initialisation(critic):
    """The compiled program `(env_params, key) -> state`, with a learned outcome model."""

    @jax.jit
    def init(env_params, key):
        return learner_of(critic, "learned", TREE, env_params).init(key)

    return init


@functools.cache
def training(critic, outcome_model, env):
    """The compiled program `(env_params, state) -> (state, losses [iterations])`."""

    @jax.jit
    def train(env_params, state):
        iterate = learner_of(critic, outcome_model, env, env_params).iterate
        return jax.lax.scan(iterate, state, jnp.arange(CONFIG.iterations))

    return train


def trained(critic, outcome_model, *, env=TREE, env_params=TREE_PARAMS, seed=0):
    """The state after training on a tree, and all losses."""
    state = initialisation(critic)(env_params, jax.random.key(seed))
    if outcome_model == "known":
        state = dataclasses.replace(state, outcome_model=NO_MODEL)
    return training(critic, outcome_model, env)(env_params, state)


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_an_offer_is_the_best_contractual_q_and_its_least_contract(critic):
    weights = online_weights(trained(critic, "known")[0])
    learns = learner_of(critic, "known", TREE, TREE_PARAMS)
    probs = TREE_PARAMS.outcome_probs

    @jax.jit
    @jax.vmap
    def found_and_expected(env_state):
        found = learns.offer(weights, env_state, jnp.ones(1, bool))
        observation, action = learns.problem.observe(env_state), found.recommendation[0]
        q = learns.agent.q_values(weights.agent, observation, jnp.zeros((1, 0)), probs[None])[0]
        least = minimal_contract(q, probs, action, HYPER_PARAMS.nudge)
        return found, least.payments, q[action] + least.expected_payment

    found, payments, value = found_and_expected(TREE.exact.states())
    np.testing.assert_allclose(found.contract.payments[:, 0], payments, atol=1e-6)
    np.testing.assert_allclose(found.agent_value[:, 0], value, atol=1e-6)
    # The principal has learned to pay for something that is worth it.
    assert payments.max() > 0.1
    assert found.principal_value[0, 0] > 0.1


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
@pytest.mark.parametrize("outcome_model", ["known", "learned"])
def test_losses_fall_and_stay_finite(critic, outcome_model):
    state, losses = trained(critic, outcome_model)
    for leaf in jax.tree.leaves((state.agent, state.principal, losses)):
        assert np.isfinite(leaf).all()
    assert losses.agent[550:600].mean() < losses.agent[:5].mean() / 2


def test_a_transition_is_stored_as_it_was_played():
    ring = jax.tree.map(np.asarray, trained("per_outcome", "known")[0].replay.ring)
    node, action, outcome = ring.env_state.node, ring.action[:, 0], ring.outcome[:, 0]
    np.testing.assert_array_equal(ring.agent_reward[:, 0], TREE_PARAMS.agent_reward[node, action])
    np.testing.assert_array_equal(
        ring.principal_reward[:, 0], TREE_PARAMS.principal_reward[node, outcome]
    )
    child = 2 * node + 1 + outcome
    np.testing.assert_array_equal(ring.continues, child < 7)
    np.testing.assert_array_equal(ring.next_env_state.node[child < 7], child[child < 7])


def test_a_learned_outcome_model_finds_the_matrix():
    learns = learner_of("per_outcome", "learned", TREE, TREE_PARAMS)
    states = TREE.exact.states()
    observation = jax.vmap(learns.problem.observe)(states)  # over S
    predict = jax.jit(jax.vmap(learns.outcome_model.probs, (None, 0, 0)))  # over S
    runs = [trained("per_outcome", "learned", seed=seed)[0] for seed in range(4)]
    found = np.array([predict(run.outcome_model.params, states, observation) for run in runs])
    # An action that was done 370 times somewhere has shown its outcomes to within 0.016 (one
    # standard error), so one of many is further off than that; on the whole they are not.
    error = np.abs(found - TREE_PARAMS.outcome_probs)
    assert error.mean() < 0.02
    assert error.max() < 0.1


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_one_agent_with_observed_actions_learns_the_same_by_either_program(critic):
    """Identity outcomes: the closed form of many agents' games against the linear program."""
    env_params = TREE.sample_params(jax.random.key(5))
    env_params = dataclasses.replace(env_params, outcome_probs=jnp.eye(2))
    (one, losses), (other, other_losses) = (
        trained(critic, "known", env=env, env_params=env_params, seed=5)
        for env in (TREE, ObservedTree(TREE.settings))
    )
    for a, b in zip(
        jax.tree.leaves((losses, online_weights(one))),
        jax.tree.leaves((other_losses, online_weights(other))),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    # Something was learned: rewards that were not predicted at first are.
    assert losses.principal[:5].mean() > 100 * losses.principal[-50:].mean()
