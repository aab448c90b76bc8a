"""Replay: how transitions are stored and drawn, uniformly or by their last error.

Both forms have the same functions, so the iteration does not know which of them it uses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.learning import priorities, ring
from jaxparl.learning.priorities import Priorities
from jaxparl.types import PyTree, Transition


@struct.dataclass
class ReplayState:
    """The stored transitions of one run.

    Attributes:
      ring: the transitions, `[capacity, ...]`.
      priorities: their priorities, in prioritised replay; else empty.
    """

    ring: Transition
    priorities: Priorities | tuple[()]


class Batch(NamedTuple):
    """What was drawn for one gradient step.

    Attributes:
      transition: the transitions, `[B, ...]`.
      indices: `[B]`, where they lie in the ring.
      weight: `[B]`, what each of them counts in the losses.
    """

    transition: Transition
    indices: jax.Array
    weight: jax.Array


class Sampler(NamedTuple):
    """A way to draw from the ring.

    Attributes:
      init: `() -> state`, for an empty ring.
      add: `(state, iteration) -> state`, after the ring's own `add` of that iteration.
      draw: `(state, key, iteration) -> (index [B], weight [B])`.
      update: `(state, index [B], error [B]) -> state`, once the errors of a batch are known.
    """

    init: Callable[[], PyTree]
    add: Callable[[PyTree, jax.Array | int], PyTree]
    draw: Callable[[PyTree, jax.Array, jax.Array | int], tuple[jax.Array, jax.Array]]
    update: Callable[[PyTree, jax.Array, jax.Array], PyTree]


def uniform(config: Config) -> Sampler:
    """Every transition with the same probability, as on the trees of the paper."""

    def draw(state, key, iteration):
        del state
        index = ring.draw(
            key,
            iteration,
            capacity=config.replay_capacity,
            num_envs=config.num_envs,
            batch_size=config.batch_size,
        )
        return index, jnp.ones(config.batch_size)

    return Sampler(
        init=lambda: (),
        add=lambda state, iteration: state,
        draw=draw,
        update=lambda state, index, error: state,
    )


def prioritised(config: Config) -> Sampler:
    """In proportion to the last error, as in the paper's Coin Game (Schaul et al. 2016)."""

    def add(state: Priorities, iteration: jax.Array | int) -> Priorities:
        return priorities.add(state, iteration, config.num_envs)

    def draw(state: Priorities, key: jax.Array, iteration: jax.Array | int):
        del iteration
        index = priorities.sample(state, key, config.batch_size)
        if config.importance_exponent == 0.0:  # as in the paper; all weights would be 1
            return index, jnp.ones(config.batch_size)
        return index, priorities.importance_weights(state, index, config.importance_exponent)

    def update(state: Priorities, index: jax.Array, error: jax.Array) -> Priorities:
        return priorities.update(
            state, index, error, exponent=config.priority_exponent, floor=config.priority_floor
        )

    return Sampler(
        init=lambda: priorities.init(config.replay_capacity, config.num_envs),
        add=add,
        draw=draw,
        update=update,
    )


SAMPLERS = {"uniform": uniform, "prioritised": prioritised}


def init(config: Config, env: Environment, env_state: PyTree) -> ReplayState:
    """An empty replay for transitions of a game, of which `env_state` is a state."""
    action, outcome = (
        jnp.zeros(env.num_agents, _smallest_integer(count))
        for count in (env.num_actions, env.num_outcomes)
    )
    no, zero = jnp.zeros(env.num_agents, bool), jnp.zeros(env.num_agents)
    blank = Transition(env_state, action, outcome, no, no, zero, zero, env_state, jnp.float32(0.0))
    sampler = SAMPLERS[config.replay](config)
    return ReplayState(ring.init(blank, config.replay_capacity), sampler.init())


def remember(
    config: Config,
    state: ReplayState,
    transition: Transition,
    key: jax.Array,
    iteration: jax.Array | int,
) -> tuple[ReplayState, Batch]:
    """Stores the transitions `[E]` of an iteration, then draws a batch; consumes `key`."""
    sampler = SAMPLERS[config.replay](config)
    stored = ring.add(state.ring, transition, iteration)
    known = sampler.add(state.priorities, iteration)
    index, weight = sampler.draw(known, key, iteration)
    return ReplayState(stored, known), Batch(_take(stored, index), index, weight)


def update(config: Config, state: ReplayState, batch: Batch, error: jax.Array) -> ReplayState:
    """Takes note of the errors `[B]` of a batch."""
    sampler = SAMPLERS[config.replay](config)
    return dataclasses.replace(
        state, priorities=sampler.update(state.priorities, batch.indices, error)
    )


def _take(stored: Transition, index: jax.Array) -> Transition:
    """The transitions `[B, ...]` at `index` `[B]`, actions and outcomes as int32 again."""
    drawn = ring.take(stored, index)
    return dataclasses.replace(
        drawn, action=drawn.action.astype(jnp.int32), outcome=drawn.outcome.astype(jnp.int32)
    )


def _smallest_integer(count: int) -> type:
    """The type that replay keeps numbers below `count` in: it holds many of them."""
    return jnp.int8 if count <= jnp.iinfo(jnp.int8).max else jnp.int32
