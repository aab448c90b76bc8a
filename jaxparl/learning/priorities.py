"""Prioritised replay: items of the ring are drawn in proportion to their last errors.

This is the proportional variant of Schaul et al. 2016, "Prioritized Experience Replay". Each item
of the ring has a priority. The priorities lie in rows whose sums are stored, so drawing or
changing an item reads the sums and one row, not all items.

When a row changes its sum is computed anew, never corrected by a difference, so sums do not drift.
As in the ring, the place that is written to follows from the loop's counter, which all runs share.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.learning import ring

# The batch size B for which rows are made: a batch reads all sums once and one row per draw, and
# rows of sqrt(capacity / B) items balance the two.
BALANCED_BATCH = 128
# How many weights are compared at once in a search.
_GROUP = 8


@struct.dataclass
class Priorities:
    """The priorities of a ring: item i lies at (i // width, i % width).

    Attributes:
      priority: `[blocks, width]`, already raised to the exponent; 0 where nothing was written yet,
        and beyond the capacity in the last row.
      block_sum: `[blocks]`, the sum of each row.
      highest: `[]`, the highest priority so far, 1 at first.
      capacity: the ring's, static.
    """

    priority: jax.Array
    block_sum: jax.Array
    highest: jax.Array
    capacity: int = struct.field(pytree_node=False)


def init(capacity: int, num_envs: int) -> Priorities:
    """The priorities of an empty ring for `capacity` items, E of them written at a time.

    The width of a row is a multiple of E, so that a write never spans two rows.

    Examples:
      >>> init(capacity=120_000, num_envs=8).priority.shape
      (3750, 32)
    """
    width = num_envs * math.ceil(math.sqrt(capacity / BALANCED_BATCH) / num_envs)
    blocks = math.ceil(capacity / width)
    return Priorities(
        priority=jnp.zeros((blocks, width)),
        block_sum=jnp.zeros(blocks),
        highest=jnp.ones(()),
        capacity=capacity,
    )


def add(priorities: Priorities, iteration: jax.Array | int, num_envs: int) -> Priorities:
    """Gives the E items that `ring.add` writes in this iteration the highest priority so far.

    New items are then likely to be replayed at least once (Algorithm 1, line 6).

    Examples:
      >>> priorities = add(init(capacity=6, num_envs=2), iteration=0, num_envs=2)
      >>> print(priorities.priority.ravel())
      [1. 1. 0. 0. 0. 0.]
    """
    width = priorities.priority.shape[1]
    first = iteration % (priorities.capacity // num_envs) * num_envs
    block, column = first // width, first % width
    new = jnp.full((1, num_envs), priorities.highest)
    priority = ring.write(priorities.priority, new, block, column)
    row = jax.lax.dynamic_index_in_dim(priority, block, keepdims=False)
    block_sum = jax.lax.dynamic_update_index_in_dim(priorities.block_sum, row.sum(), block, axis=0)
    return dataclasses.replace(priorities, priority=priority, block_sum=block_sum)


def sample(priorities: Priorities, key: jax.Array, batch_size: int) -> jax.Array:
    """Draws the indices `[B]` of items, with replacement: P(i) = p_i / sum_k p_k (equation 1).

    First a row is drawn, then an item in it, each by its own random number: a single float32 is too
    coarse to choose evenly among 100,000 items. At least one item must have been written. `key` is
    consumed.

    Examples:
      >>> priorities = add(init(capacity=6, num_envs=2), iteration=0, num_envs=2)
      >>> draw = jax.jit(sample, static_argnames="batch_size")
      >>> index = draw(priorities, jax.random.key(0), batch_size=100)
      >>> int(index.max())  # two items were written
      1
    """
    width = priorities.priority.shape[1]
    which_block, which_column = jax.random.uniform(key, (2, batch_size))
    block = _locate(priorities.block_sum, which_block)
    column = jax.vmap(_locate)(priorities.priority[block], which_column)  # over B
    return block * width + column


def update(
    priorities: Priorities,
    index: jax.Array,
    error: jax.Array,
    *,
    exponent: jax.Array | float,
    floor: jax.Array | float,
) -> Priorities:
    """Gives drawn items the priorities of their errors: p_i = (|error_i| + floor)^exponent.

    If an item was drawn twice, its larger error counts. Writing both would leave it to the device
    which of them is written last.

    Args:
      priorities: those before the update.
      index: `[B]`, the items that were drawn.
      error: `[B]`, their errors, of either sign.
      exponent: `[]`, how much the error counts; with 0 all priorities are equal.
      floor: `[]`, added to every error, so that no priority is 0.

    Examples:
      >>> priorities = add(init(capacity=6, num_envs=2), iteration=0, num_envs=2)
      >>> index, error = jnp.array([1, 0, 1]), jnp.array([9.0, -4.0, 1.0])
      >>> print(update(priorities, index, error, exponent=0.5, floor=0.0).priority.ravel())
      [2. 3. 0. 0. 0. 0.]
    """
    width = priorities.priority.shape[1]
    block, column = index // width, index % width
    new = (jnp.abs(error) + floor) ** exponent
    priority = priorities.priority.at[block, column].set(0.0).at[block, column].max(new)
    return dataclasses.replace(
        priorities,
        priority=priority,
        block_sum=priorities.block_sum.at[block].set(priority[block].sum(axis=1)),
        highest=jnp.maximum(priorities.highest, new.max()),
    )


def importance_weights(
    priorities: Priorities, index: jax.Array, exponent: jax.Array | float
) -> jax.Array:
    """Weights `[B]` against the bias of the draws: (N P(i))^-exponent over the batch's largest.

    See section 3.4 of Schaul et al. The number of items N and the sum of all priorities cancel.

    Args:
      priorities: those that `index` was drawn by.
      index: `[B]`, the items that were drawn.
      exponent: `[]`, how much of the bias is corrected; with 1 all of it.

    Examples:
      >>> priorities = add(init(capacity=6, num_envs=2), iteration=0, num_envs=2)
      >>> index, error = jnp.array([0, 1]), jnp.array([1.0, 4.0])
      >>> priorities = update(priorities, index, error, exponent=1.0, floor=0.0)
      >>> print(importance_weights(priorities, index, exponent=1.0))
      [1.   0.25]
    """
    width = priorities.priority.shape[1]
    priority = priorities.priority[index // width, index % width]
    return (priority / priority.min()) ** -exponent


def _locate(weights: jax.Array, share: jax.Array) -> jax.Array:
    """The index of the one of `[K]` weights on which a share in [0, 1) of their sum falls.

    Weights are summed in groups, and the sums of groups in groups again. The search goes down from
    the top. It never ends at a weight of 0, whatever the rounding errors: the running sums within a
    group are computed one after the other, so they never fall, and rise where there is a weight.
    """
    levels = []
    while not levels or len(weights) > 1:
        missing = -len(weights) % _GROUP
        groups = jnp.pad(weights, (0, missing)).reshape(-1, _GROUP)
        # XLA-16, see docs/xla.md.
        levels.append(jnp.stack(list(itertools.accumulate(groups.T)), axis=1))
        weights = levels[-1][:, -1]
    index, rest = jnp.zeros(share.shape, jnp.int32), share * weights[0]
    for level in reversed(levels):
        running = level.at[index].get(mode="promise_in_bounds")  # [..., _GROUP]
        rest = jnp.minimum(rest, running[..., -1] * (1 - jnp.finfo(running.dtype).eps))
        is_passed = running <= rest[..., None]
        index = _GROUP * index + is_passed.sum(axis=-1, dtype=jnp.int32)
        rest = rest - jnp.max(running, axis=-1, where=is_passed, initial=0.0)
    return index
