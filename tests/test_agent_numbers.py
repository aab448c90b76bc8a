"""Agents that share a network are told who they are, unless the game says that they need not be."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from roles import Roles, Settings

from jaxparl.config import Config, HyperParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks.small_programs import quick_to_compile
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.training import make_train, make_validate
from jaxparl.validation.schemes import Scheme

CONFIG = Config(
    iterations=200,
    evaluation_interval=200,
    target_interval=20,
    batch_size=32,
    replay_capacity=800,
    hidden_sizes=(16,),
    outcome_hidden_sizes=(16,),
    critic="per_action",
    hyper_params=HyperParams(
        learning_rate=2e-2, principal_learning_rate_final=1e-3, follow_share=0.5, nudge=0.01
    ),
)


@functools.cache
def trained(settings: Settings):
    env = Roles(settings)
    train = jax.jit(
        make_train(CONFIG, env, env.default_params), compiler_options=quick_to_compile()
    )
    return train(jax.random.key(0))


@pytest.mark.parametrize(
    "observes", [pytest.param("vector", marks=pytest.mark.slow), "table", "parts"]
)
def test_agents_that_see_the_same_do_different_things(observes):
    metrics = trained(Settings(observes=observes)).metrics
    assert metrics.welfare[-1] == 4.0  # two agents, two steps
    assert metrics.welfare_ratio[-1] == 1.0


def test_without_their_numbers_they_cannot():
    metrics = trained(Settings(identifies_agents=False)).metrics
    assert metrics.optimal_welfare[-1] == 4.0
    assert metrics.welfare[-1] == 2.0


class SolvedRoles(Roles):
    """The same, with solutions of its own."""

    @property
    def exact(self):
        return solutions_of(Roles(self.settings))


@pytest.mark.parametrize(("identifies_agents", "welfare"), [(True, 4.0), (False, 2.0)])
def test_black_boxes_are_told_too(identifies_agents, welfare):
    settings = Settings(identifies_agents=identifies_agents)
    env = SolvedRoles(settings)
    validate = make_validate(CONFIG, env, env.default_params)
    weights = target_weights(trained(settings).state)
    selfish = jax.tree.map(jnp.float32, Scheme())
    hyper_params = jax.tree.map(jnp.float32, CONFIG.hyper_params)
    arguments = jax.random.key(1), weights, hyper_params, selfish
    metrics = jax.jit(validate, compiler_options=quick_to_compile())(*arguments).metrics
    assert metrics.welfare[-1] == welfare


def fresh_weights(env, **changes):
    """The shapes of the weights of a learner, by who has them."""
    config = Config(hidden_sizes=(16,), outcome_hidden_sizes=(16,), **changes)
    learns = make_learner(Problem(config, env, env.default_params, config.hyper_params))
    state = jax.eval_shape(learns.init, jax.random.key(0))
    return {
        name: getattr(state, name).params["params"]
        for name in ("agent", "principal", "outcome_model")
    }


def test_all_networks_are_told_and_the_agents_who_follows_besides():
    env = Roles(Settings(num_agents=3, observed_actions=False))
    weights = fresh_weights(env, outcome_model="learned")
    bits = {name: layers["bits"]["kernel"].shape[0] for name, layers in weights.items()}
    assert bits == {"agent": 2 + 3, "principal": 3, "outcome_model": 3}


def test_where_agents_are_alike_networks_are_told_nothing_of_it():
    env = Roles(Settings(num_agents=3, observed_actions=False, identifies_agents=False))
    weights = fresh_weights(env, outcome_model="learned")
    assert weights["agent"]["bits"]["kernel"].shape[0] == 2
    assert all("bits" not in weights[name] for name in ("principal", "outcome_model"))


@pytest.mark.slow
def test_outcomes_of_hidden_actions_are_learned_agent_by_agent():
    env = Roles(Settings(num_agents=3, observed_actions=False))
    config = Config(
        iterations=600,
        evaluation_interval=600,
        batch_size=32,
        replay_capacity=4_800,
        hidden_sizes=(8,),
        outcome_hidden_sizes=(16,),
        outcome_model="learned",
        hyper_params=HyperParams(outcome_learning_rate=5e-2),
    )
    learns = make_learner(Problem(config, env, env.default_params, config.hyper_params))

    def run(key):
        state, _ = jax.lax.scan(learns.iterate, learns.init(key), jnp.arange(config.iterations))
        observation = env.get_obs(None)
        return learns.outcome_model.probs(state.outcome_model.params, None, observation)

    found = jax.jit(run, compiler_options=quick_to_compile())(jax.random.key(0))
    # How likely an action shows itself, a mean over actions.
    found, expected = (
        np.trace(probs, axis1=1, axis2=2) / 3 for probs in (found, env.outcome_probs(None, None))
    )
    np.testing.assert_allclose(found, expected, atol=0.04)
    assert np.ptp(expected) > 0.15
