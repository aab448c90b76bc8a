"""Replay on the device: a ring of transitions, written in place.

How far the ring is filled follows from the iteration alone. It is therefore computed from
the loop's counter and never stored: a counter inside the state of a run would get a run axis
under `vmap`, and every write would become a scatter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxparl.types import PyTree


def init(item: PyTree, capacity: int) -> PyTree:
    """An empty ring `[capacity, ...]` for items shaped like `item`."""
    return jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), item)


def add(ring: PyTree, items: PyTree, iteration: jax.Array | int) -> PyTree:
    """Writes the `[E, ...]` items of an iteration over the oldest ones.

    The capacity has to be a multiple of E, so that a write never wraps around.
    """
    capacity, num_envs = (jax.tree.leaves(tree)[0].shape[0] for tree in (ring, items))
    # Modulo first: the steps of a long run are more than an int32 can count.
    start = iteration % (capacity // num_envs) * num_envs

    def write(leaf: jax.Array, new: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(leaf, new.astype(leaf.dtype), start, axis=0)

    return jax.tree.map(write, ring, items)


def draw(
    key: jax.Array, iteration: jax.Array | int, capacity: int, num_envs: int, batch_size: int
) -> jax.Array:
    """Draws the index `[B]` of items uniformly, with replacement, after `iteration`'s write."""
    filled = jnp.minimum(iteration + 1, capacity // num_envs) * num_envs
    return jax.random.randint(key, (batch_size,), 0, filled)


def take(ring: PyTree, index: jax.Array) -> PyTree:
    """The `[B, ...]` items at `index` `[B]`."""
    return jax.tree.map(lambda leaf: leaf[index], ring)
