"""How training draws from replay: every item alike, or by how wrong the players were about it.

Both forms have the same functions, so the iteration does not know which it uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl import priorities, replay
from jaxparl.config import Config
from jaxparl.priorities import Priorities
from jaxparl.types import PyTree


class Sampler(NamedTuple):
    """A way to draw from the ring.

    Attributes:
      init: `() -> state`, for an empty ring.
      add: `(state, iteration) -> state`, after the ring's own `add` of that iteration.
      draw: `(state, key, iteration) -> (index [B], weights [B])`; the weights are the losses'.
      update: `(state, index [B], error [B]) -> state`, once the errors of what was drawn are known.
    """

    init: Callable[[], PyTree]
    add: Callable[..., PyTree]
    draw: Callable[..., tuple[jax.Array, jax.Array]]
    update: Callable[..., PyTree]


def uniform(config: Config) -> Sampler:
    """Every item with the same chance, as on the trees of the paper."""

    def draw(state, key, iteration):
        index = replay.draw(
            key, iteration, config.replay_capacity, config.num_envs, config.batch_size
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
        if config.importance_exponent == 0.0:  # the paper's; they would all be 1
            return index, jnp.ones(config.batch_size)
        return index, priorities.importance_weights(state, index, config.importance_exponent)

    def update(state: Priorities, index: jax.Array, error: jax.Array) -> Priorities:
        return priorities.update(
            state, index, error, config.priority_exponent, config.priority_floor
        )

    return Sampler(
        init=lambda: priorities.init(config.replay_capacity, config.num_envs),
        add=add,
        draw=draw,
        update=update,
    )


SAMPLERS = {"uniform": uniform, "prioritised": prioritised}
