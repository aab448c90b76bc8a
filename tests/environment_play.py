"""Random play of every registered environment at its default settings, for the conformance tests.

It is compiled once per environment and session, however many test files look at it.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.envs import REGISTRY, make

STEPS, ENVS = 64, 16
NAMES = list(REGISTRY)


class Play(NamedTuple):
    """Random play with auto-reset, `[T, E]`: what a step was given and what it returned."""

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
    def is_end(self):
        return np.asarray(self.terminated | self.truncated)


class Case(NamedTuple):
    """An environment, its default params as arrays, and random play of it."""

    name: str
    env: Environment
    params: GameParams
    played: Play

    def play(self, seed, **changes):
        """Play with other random numbers, the same actions, and other params."""
        return play(self.env, jax.random.key(seed), as_arrays(self.params.replace(**changes)))


def as_arrays(params):
    """With the types that a batch of params has, so that both run the same compiled program."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, jnp.result_type(leaf)), params)


@functools.cache
def case_of(name):
    env, params = make(name)
    params = as_arrays(params)
    return Case(name, env, params, play(env, jax.random.key(1), params))


@functools.partial(jax.jit, static_argnums=0)
def play(env, key, params):
    """Scans over `[T]` steps of `[E]` environments; the actions are always the same."""
    key_reset, key_steps = jax.random.split(key)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, ENVS), params)
    shape = (STEPS, ENVS, env.num_agents)
    actions = jax.random.randint(jax.random.key(0), shape, 0, env.num_actions)

    def step(state, now):
        action, key = now
        keys = jax.random.split(key, ENVS)
        after = jax.vmap(env.step, (0, 0, 0, None))(keys, state, action, params)  # over E
        return after[1], Play(keys, state, action, *after)

    return jax.lax.scan(step, state, (actions, jax.random.split(key_steps, STEPS)))[1]


def ravel(tree):
    """Joins the axes T and E."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)


def same(tree, other):
    """Whether two trees of one structure are equal to the bit."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(leaf, leaf_other) for leaf, leaf_other in pairs)
