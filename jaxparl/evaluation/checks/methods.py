"""The methods of a game, each compiled once, for a batch of states.

Compiling takes most of the time of a check. So there is one small program for each method, and
whatever plays the game, or compares what it says, does so by calling these with NumPy in between.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_map_with_path

from jaxparl.environment import Environment, GameParams, Tabulation, Transitions
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import observed
from jaxparl.evaluation.checks.failures import is_written
from jaxparl.evaluation.checks.small_programs import compiled_quickly
from jaxparl.types import PyTree

# Rows of one call of a program, and the memory for their states and observations, in bytes.
_LEAST_BATCH, _MOST_BATCH, _BATCH_BYTES = 64, 1_024, 2**21


@functools.cache
def batch_size(env: Environment) -> int:
    """Rows of one call of a program: fewer where states are large, or images of them."""

    def one(key: jax.Array) -> PyTree:
        env_params = env.default_params
        state = env.initial_state(key, env_params)
        return state, env.get_obs(state, env_params)

    try:
        forms = jax.eval_shape(one, jax.random.key(0))
    except Exception:  # what cannot be observed is played all the same
        return _LEAST_BATCH
    size = sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(forms))
    most = max(_LEAST_BATCH, min(_MOST_BATCH, _BATCH_BYTES // max(1, size)))
    return int(2 ** (most.bit_length() - 1))


def in_batches(
    program: Callable[..., PyTree], env: Environment, env_params: GameParams, *rows: PyTree
) -> Any:
    """What a program makes of rows `[P, ...]`, in NumPy; the last batch is filled up."""
    size, batch_rows = len(jax.tree.leaves(rows)[0]), batch_size(env)
    parts = []
    for first in range(0, size, batch_rows):
        some = np.arange(first, first + batch_rows) % size
        batch = jax.tree.map(functools.partial(np.take, indices=some, axis=0), rows)
        parts.append(jax.device_get(program(env, env_params, *batch)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:size], *parts)


class Steps(NamedTuple):
    """What steps lead to, `[P]`.

    Attributes:
      agent_reward: `[P, N]`.
      principal_reward: `[P, N]`.
      terminated: whether the game has ended.
      is_over: whether the episode is, by the rules or by the time limit.
      state: the next state, before any reset.
      time: of it.
    """

    agent_reward: Any
    principal_reward: Any
    terminated: Any
    is_over: Any
    state: PyTree
    time: Any


@compiled_quickly
def first_states(
    env: Environment, env_params: GameParams, numbers: jax.Array
) -> tuple[PyTree, jax.Array]:
    """First states of episodes, and their times, by the data of keys."""

    def start(numbers: jax.Array):
        state = env.initial_state(jax.random.wrap_key_data(numbers), env_params)
        return state, jnp.asarray(state.time)

    return jax.vmap(start)(numbers)  # over episodes


@compiled_quickly
def outcome_probs(env: Environment, env_params: GameParams, state: PyTree) -> jax.Array:
    """`[P, N, A, O]`."""
    return jax.vmap(env.outcome_probs, (0, None))(state, env_params)  # over states


@compiled_quickly
def steps(env: Environment, env_params: GameParams, *given: PyTree) -> Steps:
    """What follows, given the data of keys, states, actions and outcomes."""

    def step(numbers: jax.Array, state: PyTree, action: jax.Array, outcome: jax.Array) -> Steps:
        key = jax.random.wrap_key_data(numbers)
        done = env.resolve(key, state, action, outcome, env_params)
        terminated = jnp.asarray(done.terminated)
        return Steps(
            agent_reward=done.agent_reward,
            principal_reward=done.principal_reward,
            terminated=terminated,
            is_over=terminated | env.is_truncated(done.state, env_params),
            state=done.state,
            time=jnp.asarray(done.state.time),
        )

    return jax.vmap(step)(*given)  # over steps


@compiled_quickly
def transitions(
    env: Environment, env_params: GameParams, *given: PyTree
) -> tuple[Transitions[PyTree], jax.Array]:
    """All that may follow, and its times `[P, K]`, given states, actions and outcomes."""

    def follow(state: PyTree, action: jax.Array, outcome: jax.Array):
        found = env.transitions(state, action, outcome, env_params)
        return found, jax.vmap(lambda after: jnp.asarray(after.time))(found.state)  # over K

    return jax.vmap(follow)(*given)  # over steps


# --- Where states are in a table --------------------------------------------------------------


@compiled_quickly
def places(env: Environment, env_params: GameParams, state: PyTree) -> tuple[jax.Array, jax.Array]:
    """What `state_index` says of states, and whether they are there."""
    return jax.vmap(functools.partial(_place, env, env_params))(state)  # over states


def _place(env: Environment, env_params: GameParams, state: PyTree) -> tuple[jax.Array, jax.Array]:
    solutions = solutions_of(env)
    place = solutions.state_index(state)
    if isinstance(env.exact, Tabulation) and not is_written(env, "state_index"):
        return place, place >= 0
    # The same state may come at several times.
    there = tree_map_with_path(
        lambda path, own, listed: own if keystr(path) == ".time" else listed[place],
        state,
        solutions.states(),
    )
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), state, there)
    is_there = _are_equal(both)
    if isinstance(env.exact, Tabulation):
        # States that look the same to all agents may have one place.
        is_there |= _are_equal(jax.vmap(env.get_obs, (0, None))(both, env_params))  # over the two
    return place, (place >= 0) & (place < solutions.num_states) & is_there


def _are_equal(both: PyTree) -> jax.Array:
    """Whether the two members of a tree are the same."""
    return jnp.stack([jnp.all(leaf[0] == leaf[1]) for leaf in jax.tree.leaves(both)]).all()


# --- What is observed -------------------------------------------------------------------------


class Watched(NamedTuple):
    """How observations compare with their space, `[P, N]`, and with each other.

    Attributes:
      excess: how far an entry is outside, the farthest one's; infinite where it is NaN.
      value: that entry.
      entry: its position, see `observed.excess`.
      is_same: `[P]` bool, whether all agents see the same.
    """

    excess: Any
    value: Any
    entry: Any
    is_same: Any


@compiled_quickly
def watch(env: Environment, env_params: GameParams, state: PyTree) -> Watched:
    """Observes states."""
    return jax.vmap(functools.partial(_watch, env, env_params))(state)  # over states


def _watch(env: Environment, env_params: GameParams, state: PyTree) -> Watched:
    seen = env.get_obs(state, env_params)
    is_same = jnp.stack([(leaf == leaf[:1]).all() for leaf in jax.tree.leaves(seen)]).all()
    beyond, entries = observed.excess(observed.space_of(env, env_params), seen)
    entry = jnp.argmax(beyond, axis=1)
    value = jnp.take_along_axis(entries, entry[:, None], axis=1)[:, 0]
    return Watched(beyond.max(axis=1), value, entry.astype(jnp.int32), is_same)
