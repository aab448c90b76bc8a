"""A game that is tested, and random play of it."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.small_programs import compiled_quickly
from jaxparl.types import PyTree

#: Steps of random play, and how many games are played side by side.
STEPS, ENVS = 64, 16
#: The time limit of short episodes.
SHORT = 2


class Play(NamedTuple):
    """Random play with auto-reset, `[T, E]`: what a step was given, and what it returned."""

    keys: Any
    state: Any
    action: Any
    after_observation: Any
    after_state: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Any

    @property
    def is_end(self) -> np.ndarray:
        """`[T, E]` bool, whether the episode was over."""
        return np.asarray(self.terminated | self.truncated)


class Case:
    """A game that is tested, and random play of it.

    Attributes:
      env: the game.
      env_params: its params, as arrays.
    """

    def __init__(self, env: Environment, env_params: GameParams | None = None):
        self.env = env
        self.env_params: Any = as_arrays(env.default_params if env_params is None else env_params)

    @functools.cached_property
    def played(self) -> Play:
        """Random play."""
        return self.play(1)

    @functools.cached_property
    def played_short(self) -> Play:
        """Random play with a time limit of two steps."""
        return self.play(1, max_steps_in_episode=SHORT)

    def play(self, seed: int, **changes: Any) -> Play:
        """Play with other random numbers, the same actions, and other params."""
        env_params = as_arrays(self.env_params.replace(**changes))
        played: Play = _play(self.env, jax.random.key(seed), env_params)
        return played


def as_arrays(env_params: Any) -> Any:
    """With the types that a batch of params has, so that both run the same compiled program."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, jnp.result_type(leaf)), env_params)


@compiled_quickly
def _play(env: Environment, key: jax.Array, env_params: GameParams) -> Play:
    """Scans over `[T]` steps of `[E]` games; the actions are always the same."""
    key_reset, key_steps = jax.random.split(key)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, ENVS), env_params)
    shape = (STEPS, ENVS, env.num_agents)
    actions = jax.random.randint(jax.random.key(0), shape, 0, env.num_actions)

    def step(state: PyTree, now: tuple[jax.Array, jax.Array]):
        action, key = now
        keys = jax.random.split(key, ENVS)
        after = jax.vmap(env.step, (0, 0, 0, None))(keys, state, action, env_params)  # over E
        return after[1], Play(keys, state, action, *after)

    return jax.lax.scan(step, state, (actions, jax.random.split(key_steps, STEPS)))[1]


def ravel(tree: PyTree) -> PyTree:
    """Joins the axes T and E."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
