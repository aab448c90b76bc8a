"""A ring of transitions on the device, written in place.

How far the ring is filled follows from the iteration alone, so it is computed from the loop's
counter and never stored. A counter inside the state of a run would get a run axis under `vmap`,
and every write would become a scatter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxparl.types import PyTree


def init(item: PyTree, capacity: int) -> PyTree:
    """An empty ring `[capacity, ...]` for items shaped like `item`.

    Examples:
      >>> init(jnp.float32(0.0), capacity=4)
      Array([0., 0., 0., 0.], dtype=float32)
    """
    return jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), item)


def add(ring: PyTree, items: PyTree, iteration: jax.Array | int) -> PyTree:
    """Writes the `[E, ...]` items of an iteration over the oldest ones.

    The capacity must be a multiple of E, so that a write never wraps around.

    Examples:
      >>> ring = init(jnp.float32(0.0), capacity=4)
      >>> for iteration in range(3):
      ...     ring = add(ring, jnp.array([2.0, 3.0]) + 2 * iteration, iteration)
      >>> print(ring)
      [6. 7. 4. 5.]
    """
    capacity, num_envs = (jax.tree.leaves(tree)[0].shape[0] for tree in (ring, items))
    # XLA-04, see docs/xla.md: all runs share the iteration.
    # Modulo first: a long run has more steps than an int32 can count.
    start = iteration % (capacity // num_envs) * num_envs
    return jax.tree.map(lambda leaf, new: write(leaf, new.astype(leaf.dtype), start), ring, items)


def write(array: jax.Array, new: jax.Array, *start: jax.Array | int) -> jax.Array:
    """Writes `new` into `array` from index `start` on, in place.

    Args:
      array: what is written to.
      new: with the axes of `array`. Those of all indices in `start` but the last have size 1.
      *start: `[]` int each, where in the first axes of `array` the first item goes.

    Examples:
      >>> print(write(jnp.zeros((2, 4)), jnp.array([[5.0, 6.0]]), 1, 2))
      [[0. 0. 0. 0.]
       [0. 0. 5. 6.]]
    """
    if new.shape[len(start) - 1] > 1:
        corner = (*start, *[0] * (array.ndim - len(start)))
        return jax.lax.dynamic_update_slice(array, new, corner)
    # XLA-03, see docs/xla.md.
    # XLA fuses the update of a single item into the reads that follow. They need the old array as
    # well, so all of it is copied, twice in every iteration. An update of two items is not fused:
    # the second one lies beyond the end and is dropped.
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
    """Draws the indices `[B]` of stored items uniformly, with replacement.

    `iteration` is the one whose items were written last; `key` is consumed.

    Examples:
      >>> index = draw(jax.random.key(0), iteration=0, capacity=8, num_envs=2, batch_size=100)
      >>> int(index.max())  # one iteration has stored two items
      1
    """
    filled = jnp.minimum(iteration + 1, capacity // num_envs) * num_envs
    return jax.random.randint(key, (batch_size,), 0, filled)


def take(ring: PyTree, index: jax.Array) -> PyTree:
    """The items `[B, ...]` at `index` `[B]`.

    Examples:
      >>> print(take(jnp.array([2.0, 3.0, 4.0]), jnp.array([2, 0])))
      [4. 2.]
    """
    return jax.tree.map(lambda leaf: leaf[index], ring)
