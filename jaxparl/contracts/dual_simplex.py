"""A dual simplex for the least-payment program, on a dictionary of pairs of floats.

The program is the one of `jaxparl.contracts.least_payment`, for any number of actions and outcomes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxparl.contracts import float_pairs
from jaxparl.contracts.float_pairs import Pair

# Plain float32 is twice as fast as pairs, but ends in wrong bases on nearly parallel constraints:
# one program in 2,000 is wrong by 10%. Pairs stay below 1e-6 (benchmarks/contracts.py).


class _Tolerances(NamedTuple):
    """What is taken for zero, and by how much equal costs are told apart.

    In float32 the first two are far above the rounding of pairs and far below that of the inputs.
    In float64 they are above the rounding of the inputs: rows that sum to 1 but for 1e-16 would
    seem to implement any action, at payments of 1e16. The last one is above the resolution in which
    prices are compared and far below any real price.
    """

    pivot: float
    violation: float
    tie_break: float


_SINGLE = _Tolerances(pivot=1e-10, violation=1e-12, tie_break=1e-6)
_DOUBLE = _Tolerances(pivot=1e-12, violation=1e-14, tie_break=1e-14)
# Ten actions and ten outcomes need 3 pivots on average and at most 17 in 40,000 programs.
_MAX_PIVOTS_PER_VARIABLE = 8


class _Dictionary(NamedTuple):
    """A simplex dictionary: each basic variable as a function of the nonbasic ones.

    `entries` is `[A + 1, O + 1]`. Rows are the basic variables and, last, the objective; columns
    are the nonbasic variables and, last, the constant. Variables are numbered: the payments are
    0..O-1, the slacks of the constraints follow.
    """

    entries: Pair
    basic: jax.Array  # [A]
    nonbasic: jax.Array  # [O]
    pivots: jax.Array  # []
    implementable: jax.Array  # []


def dual_simplex(cost: jax.Array, gain: Pair, gap: Pair) -> tuple[jax.Array, jax.Array]:
    """Solves: minimise `cost @ b` over `b >= 0`, subject to `gain @ b >= gap`.

    Paying nothing violates constraints but is dual feasible, because the costs are probabilities:
    there is no phase I. Each pivot repairs the most violated constraint at the least price.

    Args:
      cost: `[O]`, the probability of each outcome under the recommended action.
      gain: `[A, O]`, by how much the recommended action makes each outcome more likely.
      gap: `[A]`, what a payment must make up for, in units of reward.

    Returns:
      The payments `[O]`, and `[]` bool, whether the program has a solution. Without one the
      payments mean nothing.
    """
    actions, outcomes = gain.hi.shape
    start = _first_dictionary(cost, gain, gap)
    violation = _tolerances(cost.dtype).violation * jnp.max(jnp.abs(gap.hi))
    max_pivots = _MAX_PIVOTS_PER_VARIABLE * (actions + outcomes)

    def is_unfinished(now: _Dictionary) -> jax.Array:
        is_violated = jnp.min(now.entries.hi[:-1, -1]) < -violation
        return now.implementable & is_violated & (now.pivots < max_pivots)

    end = lax.while_loop(is_unfinished, _pivot, start)
    constants = jnp.maximum(end.entries.hi[:-1, -1:], 0)
    is_paid = end.basic[:, None] == jnp.arange(outcomes)[None]
    payments = jnp.sum(jnp.where(is_paid, constants, 0), axis=0)
    return payments, end.implementable & ~is_unfinished(end)


def first_minimum(x: jax.Array) -> jax.Array:
    """One-hot bool of the first minimum, `[X]` -> `[X]`.

    Two plain reductions, because XLA does not vectorise `argmin`.
    """
    # XLA-12, see docs/xla.md.
    index = jnp.arange(x.shape[0])
    return index == jnp.min(jnp.where(x == jnp.min(x), index, x.shape[0]))


def _tolerances(dtype: Any) -> _Tolerances:
    return _DOUBLE if dtype == jnp.float64 else _SINGLE


def _first_dictionary(cost: jax.Array, gain: Pair, gap: Pair) -> _Dictionary:
    """The dictionary in which nothing is paid: all payments are nonbasic."""
    actions, outcomes = gain.hi.shape
    # An outcome that the recommended action never causes is never worth a payment.
    gain = jax.tree.map(lambda x: jnp.where(cost[None] > 0, x, 0), gain)
    # Equal costs, common where rows hold round numbers, could make the simplex cycle.
    number = jnp.arange(outcomes, dtype=cost.dtype)
    untied = cost * (1 + _tolerances(cost.dtype).tie_break * jnp.sin(number))
    objective = jnp.append(untied, 0)
    hi = jnp.vstack([jnp.column_stack([gain.hi, -gap.hi]), objective[None]])
    lo = jnp.pad(jnp.column_stack([gain.lo, -gap.lo]), ((0, 1), (0, 0)))
    return _Dictionary(
        entries=Pair(hi, lo),
        basic=outcomes + jnp.arange(actions),
        nonbasic=jnp.arange(outcomes),
        pivots=jnp.int32(0),
        implementable=jnp.bool_(True),
    )


def _pivot(now: _Dictionary) -> _Dictionary:
    """Swaps the most violated basic variable with the nonbasic one that repairs it cheapest."""
    leaving = first_minimum(now.entries.hi[:-1, -1])
    in_row = jnp.append(leaving, False)
    row = _select(now.entries, in_row[:, None], axis=0)
    is_last = _is_last_unpaid(now, leaving)
    usable = (row.hi[:-1] > _tolerances(row.hi.dtype).pivot) & ~is_last
    implementable = jnp.any(usable)
    price = jnp.maximum(now.entries.hi[-1, :-1], 0) / jnp.where(usable, row.hi[:-1], 1)
    entering = usable & first_minimum(jnp.where(usable, price, jnp.inf))
    in_column = jnp.append(entering, False)
    pivot = _select(row, in_column, axis=0)
    # Where no column is usable the pivot is 0, and the result is discarded.
    pivot = Pair(jnp.where(implementable, pivot.hi, 1), pivot.lo)
    return _Dictionary(
        entries=_exchange(now.entries, row, pivot, in_row, in_column),
        basic=jnp.where(leaving, jnp.sum(jnp.where(entering, now.nonbasic, 0)), now.basic),
        nonbasic=jnp.where(entering, jnp.sum(jnp.where(leaving, now.basic, 0)), now.nonbasic),
        pivots=now.pivots + 1,
        implementable=implementable,
    )


def _is_last_unpaid(now: _Dictionary, leaving: jax.Array) -> jax.Array:
    """`[O]` bool: the one outcome that must remain unpaid.

    Where rows sum to 1, paying every outcome the same changes no constraint, so one outcome is
    always unpaid. Any apparent worth of paying the last one is the rounding of the rows.
    """
    outcomes = now.nonbasic.shape[0]
    is_payment = now.nonbasic < outcomes
    is_last = is_payment & (jnp.sum(is_payment) == 1)
    return is_last & ~jnp.any(leaving & (now.basic < outcomes))


def _exchange(
    entries: Pair, row: Pair, pivot: Pair, in_row: jax.Array, in_column: jax.Array
) -> Pair:
    """The entries after the basic variable of `in_row` and the nonbasic of `in_column` swap.

    Row r reads x_r = ... + p x_c. It is solved for x_c and substituted into the other rows. This is
    one outer product, with 1 / p in the new row r and column c, where the entry p was.
    """
    inverse = float_pairs.reciprocal(pivot)
    solved = float_pairs.multiply(row, float_pairs.negate(inverse))
    solved = jax.tree.map(lambda new, x: jnp.where(in_column, new, x)[None], inverse, solved)
    column = _select(entries, in_column, axis=1)
    column = Pair(
        jnp.where(in_row, 1, column.hi)[:, None], jnp.where(in_row, 0, column.lo)[:, None]
    )
    crossed = in_row[:, None] | in_column[None]
    others = jax.tree.map(lambda x: jnp.where(crossed, 0, x), entries)
    return float_pairs.add(others, float_pairs.multiply(column, solved))


def _select(x: Pair, one_hot: jax.Array, axis: int) -> Pair:
    """Selects by a mask, because a traced index would become a gather under `vmap`."""
    return jax.tree.map(lambda part: jnp.sum(jnp.where(one_hot, part, 0), axis=axis), x)
