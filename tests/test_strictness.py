"""Users who have JAX forbid implicit promotion of types and ranks can use everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import untrained
from oracles import figure_one_table, random_table

from jaxparl.contracts import incentive_slack, minimal_contract, observed_action_contract
from jaxparl.equilibrium import (
    backward_induction,
    best_response,
    meta_algorithm,
    stationary_meta_algorithm,
    value_iteration,
)
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.training.sweep import draw_env_params
from jaxparl.training.task import run_task, solve_context, training_task, validation_task
from jaxparl.validation import schemes
from jaxparl.validation.frozen import followed_play, freeze
from jaxparl.validation.terms import make_terms

CONFIG = untrained.CONFIG
GAMES = {"tree": small.TREE_ENV, "coin": small.COIN_ENV}
VARIANTS = {
    "uniform": dataclasses.replace(CONFIG, replay="uniform", critic="per_outcome"),
    "prioritised": dataclasses.replace(
        CONFIG, importance_exponent=0.5, loss="huber", max_gradient_norm=1.0, target_window=0.1
    ),
    "learned outcomes": dataclasses.replace(CONFIG, outcome_model="learned"),
}


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.mark.parametrize(
    ("game", "variant"),
    [("tree", "uniform"), ("tree", "learned outcomes"), ("coin", "prioritised")],
)
def test_training_promotes_nothing_implicitly(game, variant):
    config, env = VARIANTS[variant], GAMES[game]

    def train(key):
        # As in a sweep, where a run's params and hyper-parameters are traced.
        env_params, hyper_params = jax.tree.map(
            jnp.asarray, (draw_env_params(env, 0), config.hyper_params)
        )
        context = solve_context(config, env, env_params, hyper_params)
        return run_task(config, training_task(config, env, context), key)

    metrics = jax.eval_shape(train, jax.random.key(0))[1]
    assert metrics.agent_loss.shape == (config.num_evaluations,)


def test_validation_promotes_nothing_implicitly():
    config, env = VARIANTS["prioritised"], small.COIN_ENV

    def validate(key, weights):
        env_params, hyper_params = jax.tree.map(
            jnp.asarray, (env.default_params, config.hyper_params)
        )
        learner = make_learner(Problem(config, env, env_params, hyper_params))
        principal = freeze(learner, weights)
        followed = followed_play(learner, principal)
        scheme = schemes.comparable_schemes(env, followed, 0.1)["principal"]
        terms = make_terms(learner, principal, scheme)
        return run_task(config, validation_task(config, env, terms), key)

    metrics = jax.eval_shape(validate, jax.random.key(0), untrained.weights())[1]
    assert metrics.welfare.shape == (config.num_evaluations,)


@pytest.mark.parametrize("shape", [(2, 3), (4, 3)])
def test_contracts_promote_nothing_implicitly(shape):
    q, probs = np.zeros(shape[0], np.float32), np.full(shape, 1 / shape[1], np.float32)
    contract = jax.eval_shape(minimal_contract, q, probs, 1)
    assert contract.payments.shape == shape[1:]
    jax.eval_shape(incentive_slack, q, probs, 1, contract.payments)
    jax.eval_shape(observed_action_contract, q, 1)


def test_exact_solvers_promote_nothing_implicitly():
    table, none = figure_one_table(), np.zeros((2, 3, 2), np.float32)
    jax.eval_shape(lambda: backward_induction(table, 2))
    jax.eval_shape(lambda: best_response(table, 2, none, np.zeros((2, 3), int)))
    jax.eval_shape(lambda: meta_algorithm(table, 2, none))
    game = random_table(np.random.default_rng(0), 3, 2, 2, gamma=0.5)
    jax.eval_shape(lambda: value_iteration(game))
    jax.eval_shape(lambda: stationary_meta_algorithm(game, none[0]))
    env, env_params = small.COIN_ENV, small.COIN_PARAMS
    jax.eval_shape(env.exact.selfish_play, env_params)
    # Rewards may be of any type of number, each of its own.
    mixed = dataclasses.replace(table, agent_reward=np.array([[-1, 0]] * 3), discount=1)
    jax.eval_shape(lambda: backward_induction(mixed, 2))
