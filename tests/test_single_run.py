"""A run as a pure function of its key: what it learns, repeats and compiles."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    TREE_CONFIG,
    TREE_ENV,
    TREE_GAME,
    TREE_PARAMS,
    TREE_RUNS,
    largest_difference,
    numbers,
    row,
    trained_trees,
    tree_program,
)

from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.training import sweep
from jaxparl.training.runs import RunId

# Longer: the paper's critics, and outcomes that are learned too, take more.
LONGER = dataclasses.replace(
    TREE_CONFIG,
    iterations=600,
    evaluation_interval=600,
    target_interval=25,
    hyper_params=dataclasses.replace(TREE_CONFIG.hyper_params, learning_rate=6e-3),
)
CRITICS = dataclasses.replace(LONGER, critic="per_action")
OUTCOMES = dataclasses.replace(LONGER, outcome_model="learned")
# Evaluated more often than a sweep of TREE_CONFIG, so in shorter segments.
CONFIG = dataclasses.replace(TREE_CONFIG, evaluation_interval=100)
HYPER_PARAMS = numbers(CONFIG.hyper_params)


@pytest.mark.parametrize(
    ("config", "least"),
    [
        pytest.param(CONFIG, 0.97, id="per_outcome"),
        pytest.param(CRITICS, 0.95, id="per_action"),
        pytest.param(OUTCOMES, 0.9, id="learned_outcomes", marks=pytest.mark.slow),
    ],
)
def test_learning_reaches_the_equilibrium_of_a_small_tree(config, least):
    program = tree_program(config, runs_once=config is not CONFIG)
    metrics = program.train(jax.random.key(0), numbers(config.hyper_params)).metrics
    assert metrics.utility_ratio[-1] >= least
    assert metrics.recommendation_accuracy[-1] >= 6 / 7


def test_the_nudge_is_traced_and_costs_the_principal():
    train, key = tree_program(CONFIG).train, jax.random.key(0)
    low, high = (train(key, HYPER_PARAMS.replace(nudge=jnp.float32(xi))) for xi in (0.01, 0.5))
    assert high.metrics.agent_utility[-1] > low.metrics.agent_utility[-1] + 0.1


def test_the_same_seed_gives_the_same_bits_twice():
    train = tree_program(CONFIG).train
    first, second = (train(jax.random.key(9), HYPER_PARAMS) for _ in range(2))
    assert largest_difference(first, second) == 0
    other = train(jax.random.key(10), HYPER_PARAMS)
    assert largest_difference(first.metrics, other.metrics) > 0


def test_the_second_call_compiles_nothing_and_the_game_is_traced_once(compilations):
    program = tree_program.__wrapped__(CONFIG)  # that nobody has called
    checked = len(program.traces)
    program.train(jax.random.key(0), HYPER_PARAMS)
    trained = len(program.traces)
    # scan traces its body once, and once more if a type has to settle.
    assert 1 <= trained - checked <= 2
    jax.jit(lambda x: x + 1)(jnp.float32(0.5))
    key, hyper_params = jax.random.key(1), HYPER_PARAMS.replace(nudge=jnp.float32(0.3))
    before = len(compilations)
    assert before >= 1  # so a compilation is seen
    program.train(key, hyper_params)
    assert len(compilations) == before
    assert len(program.traces) == trained


def test_a_sweep_gives_what_make_train_gives_in_other_segments():
    assert TREE_CONFIG.segment_length != CONFIG.segment_length
    number = TREE_RUNS.index(RunId(TREE_GAME, 1))
    last = trained_trees()
    key = sweep.run_key(sweep._TRAINING_ROOT, TREE_GAME, 1)
    single = tree_program(CONFIG).train(key, HYPER_PARAMS)
    swept = row(last.runs.state, number)
    assert largest_difference(swept.agent.params, single.state.agent.params) <= 1e-5
    assert largest_difference(swept.principal.params, single.state.principal.params) <= 1e-5
    np.testing.assert_allclose(
        last.metrics.utility_ratio[number], single.metrics.utility_ratio[-1], rtol=1e-6
    )
    # Losses are means over all iterations since the last evaluation.
    np.testing.assert_allclose(
        last.metrics.agent_loss[number], single.metrics.agent_loss.mean(), rtol=1e-5
    )


def shapes_at_the_start(config: Config, env, env_params):
    """The learner, and the shapes of its state before the first iteration."""
    learns = make_learner(Problem(config, env, env_params, config.hyper_params))
    return learns, jax.eval_shape(learns.init, jax.random.key(0))


def test_targets_follow_as_copies_first_and_as_an_average_later():
    config = dataclasses.replace(TREE_CONFIG, iterations=400, target_interval=50, target_window=0.5)
    learns, shapes = shapes_at_the_start(config, TREE_ENV, TREE_PARAMS)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes.agent.params)
    ones = jax.tree.map(jnp.ones_like, zeros)
    agent = dataclasses.replace(shapes.agent, params=ones, target_params=zeros)
    principal = dataclasses.replace(shapes.principal, params=zeros, target_params=ones)
    state = dataclasses.replace(shapes, agent=agent, principal=principal, agent_average=zeros)

    def moved(iteration: int) -> list[float]:
        after = learns.move_targets(state, iteration)
        trees = after.agent.target_params, after.agent_average, after.principal.target_params
        return [float(jax.tree.leaves(tree)[0].ravel()[0]) for tree in trees]

    assert moved(99) == [1.0, 1.0, 0.0]
    # A window of half of 400 iterations holds four target intervals, the principal's of 0.4 three.
    assert moved(399) == pytest.approx([1 / 4, 1 / 3.2, 1 - 1 / 3.2])


def test_state_of_a_full_size_run_fits_in_16_megabytes():
    env, params = make("game_tree")
    _, state = shapes_at_the_start(Config(), env, params)
    leaves = [leaf for leaf in jax.tree.leaves((state, params)) if hasattr(leaf, "dtype")]
    held = sum(
        np.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in leaves
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    )
    assert 1e6 < held <= 16e6
