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
    return jax.tree.map(lambda leaf, new: write(leaf, new.astype(leaf.dtype), start), ring, items)


def write(array: jax.Array, new: jax.Array, *start: jax.Array | int) -> jax.Array:
    """Writes `new` over what `array` has from `start` on, its first indices, in place."""
    if new.shape[len(start) - 1] > 1:
        corner = (*start, *[0] * (array.ndim - len(start)))
        return jax.lax.dynamic_update_slice(array, new, corner)
    # The update of a single item XLA takes into the reading that follows; as that needs the array
    # before it too, all of it is copied, twice in every iteration. So here are two items, one of
    # which lies beyond the end and goes nowhere.
    index = tuple(jnp.array([at, beyond]) for at, beyond in zip(start, array.shape, strict=False))
    item = new.reshape(array.shape[len(start) :])
    both = jnp.stack([item, item])
    return array.at[index].set(both, mode="drop", unique_indices=True, indices_are_sorted=True)


def draw(
    key: jax.Array,
    iteration: jax.Array | int,
    *,
    capacity: int,
    num_envs: int,
    batch_size: int,
) -> jax.Array:
    """Draws the index `[B]` of items uniformly, with replacement, after `iteration`'s write.

    Examples:
      >>> index = draw(jax.random.key(0), iteration=0, capacity=8, num_envs=2, batch_size=100)
      >>> int(index.max())  # one write of two items lies in the ring
      1
    """
    filled = jnp.minimum(iteration + 1, capacity // num_envs) * num_envs
    return jax.random.randint(key, (batch_size,), 0, filled)


def take(ring: PyTree, index: jax.Array) -> PyTree:
    """The `[B, ...]` items at `index` `[B]`."""
    return jax.tree.map(lambda leaf: leaf[index], ring)
