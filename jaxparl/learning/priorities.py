"""Prioritised replay: which of the ring's items to draw, in proportion to their last errors.

Schaul et al. 2016, "Prioritized Experience Replay", the proportional variant. The priorities lie
beside the ring, item for item, in rows whose sums are kept: to draw or to change an
item touches the sums and one row, not every item.

A sum is always taken anew from what it sums, never corrected by a difference, so it cannot drift.
As for the ring, what is written where follows from the loop's counter, which all runs share.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.learning import ring

# A batch reads the sums once and one row per draw; rows of sqrt(capacity / B) balance the two.
BALANCED_BATCH = 128
# As many weights are searched at once.
_GROUP = 8


@struct.dataclass
class Priorities:
    """The priorities of a ring: item i lies at (i // width, i % width).

    Attributes:
      priority: `[blocks, width]`, already raised to the exponent; 0 where nothing was written yet,
        and in what the last row has beyond the capacity.
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

    The width of a row is a multiple of E, so that a write never straddles two rows.
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

    So that everything is replayed at least about once (Algorithm 1, line 6).
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
    """Draws the index `[B]` of items, with replacement: P(i) = p_i / sum_k p_k (equation 1).

    First a row, then an item in it, each by a number of its own: one float32 could not tell 100,000
    items apart evenly. At least one item must have been written.
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

    `index` and `error` are `[B]`. Of an item that was drawn twice the larger error counts: to
    overwrite one with the other would leave it to the device which is last.
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
    """Weights `[B]` against the bias of the draws: (N P(i))^-exponent, over the batch's largest.

    Section 3.4. The number of items N and the sum of all priorities cancel, so neither is needed.
    `priorities` are those that `index` `[B]` was drawn by.
    """
    width = priorities.priority.shape[1]
    priority = priorities.priority[index // width, index % width]
    return (priority / priority.min()) ** -exponent


def _locate(weights: jax.Array, share: jax.Array) -> jax.Array:
    """Which of `[K]` weights the given share of their sum falls on; `share` is in [0, 1).

    Weights are summed in groups, the groups' sums again, and the search goes down from the top. It
    never ends where there is no weight, whatever was rounded on the way: within a group the
    running sums are taken one after the other, so they never fall, and rise where a weight is.
    """
    levels = []
    while not levels or len(weights) > 1:
        missing = -len(weights) % _GROUP
        groups = jnp.pad(weights, (0, missing)).reshape(-1, _GROUP)
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
