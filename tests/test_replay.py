"""Replay: what is stored, what is drawn, and how much the errors of a batch matter afterwards."""

from __future__ import annotations

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import COIN_ENV, TREE_ENV

from jaxparl.config import Config
from jaxparl.envs.game_tree import TreeState
from jaxparl.learning import replay
from jaxparl.types import Transition

CONFIG = Config(num_envs=2, replay_capacity=6, batch_size=64, priority_exponent=1.0)
PRIORITISED = dataclasses.replace(CONFIG, replay="prioritised")


def transitions(iteration: int) -> Transition:
    """Two transitions, whose states and rewards say which they are."""
    number = 2 * iteration + jnp.arange(2)
    column = number[:, None]
    return Transition(
        env_state=TreeState(number),
        action=column % 2,
        outcome=1 - column % 2,
        follows=column > 0,
        deviated=column > 1,
        agent_reward=-1.0 * column,
        principal_reward=2.0 * column,
        next_env_state=TreeState(2 * number),
        continues=1.0 * (number > 0),
    )


@functools.cache
def remembered(config: Config, iterations: int):
    """The replay after so many iterations, and the last batch."""
    state = replay.init(config, TREE_ENV, TreeState(jnp.int32(0)))
    remember = jax.jit(partial(replay.remember, config))
    for iteration in range(iterations):
        key = jax.random.key(iteration)
        state, batch = remember(state, transitions(iteration), key, iteration)
    return state, batch


@pytest.mark.parametrize("config", [CONFIG, PRIORITISED], ids=lambda config: config.replay)
def test_what_is_drawn_is_what_was_stored(config):
    state, batch = remembered(config, 4)
    # The ring holds 6 of the 8, and 64 draws see each of them.
    number = np.asarray(batch.transition.env_state.node)
    np.testing.assert_array_equal(np.unique(number), np.arange(2, 8))
    everything = jax.tree.map(
        lambda *leaves: np.concatenate(leaves), *(transitions(iteration) for iteration in range(4))
    )
    expected = jax.tree.map(lambda leaf: leaf[number], everything)
    jax.tree.map(np.testing.assert_array_equal, batch.transition, expected)
    stored = jax.tree.map(lambda leaf: leaf[batch.indices], state.ring)
    jax.tree.map(np.testing.assert_array_equal, stored, batch.transition)


@pytest.mark.parametrize("env", [TREE_ENV, COIN_ENV], ids=lambda env: env.name)
def test_actions_and_outcomes_take_a_byte_in_the_ring_and_are_drawn_as_int32(env):
    first = env.initial_state(jax.random.key(0), env.default_params)
    state = replay.init(CONFIG, env, first)
    assert state.ring.action.dtype == state.ring.outcome.dtype == jnp.int8
    drawn = replay._take(state.ring, jnp.arange(3))
    assert drawn.action.dtype == drawn.outcome.dtype == jnp.int32


def test_uniform_draws_count_the_same_and_their_errors_change_nothing():
    state, batch = remembered(CONFIG, 3)
    np.testing.assert_array_equal(batch.weight, 1.0)
    updated = replay.update(CONFIG, state, batch, error=jnp.arange(64.0))
    jax.tree.map(np.testing.assert_array_equal, updated, state)


def redrawn(config: Config):
    """Draws `[D]` and their weights, after one of six items had 9 times the error of the others."""
    state, batch = remembered(PRIORITISED, 3)
    error = jnp.where(batch.transition.env_state.node == 4, 9.0, 1.0)
    updated = jax.jit(partial(replay.update, PRIORITISED))(state, batch, error)
    draw = jax.jit(replay.SAMPLERS["prioritised"](config).draw)
    drawn = [draw(updated.priorities, jax.random.key(seed), 2) for seed in range(60)]
    return map(np.concatenate, zip(*drawn, strict=True))


def test_what_had_a_large_error_is_drawn_more_often():
    index, weight = redrawn(PRIORITISED)
    assert np.mean(index == 4) == pytest.approx(9 / 14, abs=0.03)
    np.testing.assert_array_equal(weight, 1.0)  # all are the same without an exponent


def test_importance_weights_make_up_for_being_drawn_more_often():
    index, weight = redrawn(dataclasses.replace(PRIORITISED, importance_exponent=1.0))
    np.testing.assert_allclose(weight, np.where(index == 4, 1 / 9, 1.0), rtol=1e-5)
