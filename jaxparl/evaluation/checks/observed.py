"""What agents observe, beside the space that a game declares for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.failures import (
    attempt,
    differences,
    dtype_of,
    form,
    is_written,
    leaves,
)
from jaxparl.learning.networks import make_network
from jaxparl.types import PyTree


def space_of(env: Environment, env_params: GameParams) -> Any:
    """The observation space of one agent; None where a game with its own network says nothing."""
    if not is_written(env, "observation_space"):
        return None
    return attempt(env, "observation_space", env.observation_space, env_params)


def has_network(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Whether there is a network for what agents observe."""
    space = space_of(env, env_params)
    if is_written(env, "make_network"):
        return
    if not isinstance(space, spaces.Space):
        yield f"its observation_space is a {type(space).__name__}, not a space of gymnax"
        return
    try:
        make_network(space, (8,), 1)
    except Exception:
        yield (
            f"its observation_space is {space!r}, for which there is no network: its method "
            "make_network may bring one"
        )


def has_form(env: Environment, env_params: GameParams, seen: PyTree) -> Iterator[str]:
    """Whether observations look as their space says, by the form of what `get_obs` returns."""
    wanted = _forms(space_of(env, env_params), env.num_agents)
    found = jax.tree.leaves(seen)
    if wanted is None:
        for leaf in [leaf for leaf in found if leaf.shape[:1] != (env.num_agents,)][:1]:
            yield f"its get_obs returns the shape {leaf.shape}, without an axis of agents"
    elif not isinstance(wanted, jax.ShapeDtypeStruct):
        yield from differences(seen, wanted, ("what its get_obs returns", "its observation_space"))
    elif not hasattr(seen, "shape"):
        yield f"its get_obs returns a {type(seen).__name__}, not an array"
    elif seen.shape != wanted.shape:
        yield (
            f"its get_obs returns the shape {seen.shape}, not {wanted.shape}: an axis of its "
            f"{env.num_agents} agents, then the shape of its observation_space"
        )
    elif form(seen) != form(wanted):
        dtype = dtype_of(wanted)
        yield f"its get_obs returns {form(seen)}, but its observation_space is of {dtype}"


def _parts(space: Any) -> Any:
    """A tree of the simple spaces that a space consists of, as observations are one of arrays."""
    if isinstance(space, spaces.Dict):
        return {name: _parts(part) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_parts(part) for part in space.spaces)
    return space


def _forms(space: Any, num_agents: int) -> Any:
    """The forms of what all agents observe, in a tree; None where the space does not say it."""
    parts = _parts(space)
    if not all(isinstance(part, spaces.Box | spaces.Discrete) for part in jax.tree.leaves(parts)):
        return None
    return jax.tree.map(
        lambda part: jax.ShapeDtypeStruct((num_agents, *part.shape), part.dtype), parts
    )


def excess(space: Any, seen: PyTree) -> tuple[jax.Array, jax.Array]:
    """How far each entry is outside of its space, and the entries, `[N, entries]` each.

    It is infinite where an entry is NaN. All arrays of an observation are joined.
    """
    arrays, parts = jax.tree.leaves(seen), jax.tree.leaves(_parts(space))
    if len(parts) != len(arrays):
        parts = [None] * len(arrays)
    found = [_excess(part, array) for part, array in zip(parts, arrays, strict=True)]
    beyond, entries = zip(*found, strict=True)
    return jnp.concatenate(beyond, axis=1), jnp.concatenate(entries, axis=1)


def _excess(part: Any, array: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same of one array."""
    entries = jnp.asarray(array, float)
    low, high = -jnp.inf, jnp.inf
    if isinstance(part, spaces.Discrete):
        low, high = 0, part.n - 1
    elif isinstance(part, spaces.Box):
        low, high = part.low, part.high
    low, high = (jnp.broadcast_to(jnp.asarray(each, float), entries.shape) for each in (low, high))
    # What is infinite where the space has no end is inside of it.
    beyond = jnp.where(entries < low, low - entries, jnp.where(entries > high, entries - high, 0))
    beyond = jnp.where(jnp.isnan(entries), jnp.inf, beyond)
    return beyond.reshape(len(array), -1), entries.reshape(len(array), -1)


def name_entry(seen: PyTree, entry: int) -> str:
    """Where an entry is, of those that `excess` has joined: ` at [0, 2]`.

    Examples:
      >>> name_entry({"board": np.zeros((5, 2, 2)), "more": np.zeros(5)}, 3)
      " at ['board'][1, 1]"
    """
    for path, array in leaves(seen).items():
        shape = array.shape[1:]
        if entry < math.prod(shape):
            at = list(map(int, np.unravel_index(entry, shape))) if shape else ""
            return f" at {path}{at}" if path or shape else ""
        entry -= math.prod(shape)
    raise AssertionError("there are fewer entries")
