"""Least-payment contracts: what the principal offers to have an action taken.

For a recommended action `a` the least-payment contract is the linear program of
Ivanov et al. 2024 (arXiv 2407.18074)

    minimise    E_{o ~ O(a)} b(o)       over b >= 0 (limited liability), subject to
    E_{O(a)} b + Q(a) >= E_{O(a')} b + Q(a') + nudge        for every other action a'

where `Q` is the agent's truncated Q-value: its value of an action without this step's
payment. It is solved by a closed form where one payment is enough (two actions, or two
outcomes) and by a dual simplex otherwise. Everything is for one program; `vmap` batches.
"""

from __future__ import annotations

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxparl.types import Contract

# The dual simplex computes with pairs of float32 (46 bits). Plain float32 is twice as fast, but on
# nearly parallel constraints ends in wrong bases, with errors of 10% in one program of 2,000; pairs
# stay below 1e-6 (benchmarks/contracts.py). The tolerances sit far above the rounding of pairs
# and far below what float32 inputs can mean.
_PIVOT_TOLERANCE = 1e-10
_VIOLATION_TOLERANCE = 1e-12
# Coarser than float32, in which prices are compared, and far finer than what payments mean.
_TIE_BREAK = 1e-6


def minimal_contract(
    q_truncated: jax.Array,
    outcome_probs: jax.Array,
    action: ArrayLike,
    nudge: ArrayLike = 0.0,
) -> Contract:
    """Returns the contract of least expected payment that makes `action` a best response.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      outcome_probs: `[A, O]`, O(s, a)(o); a row of float32 need not sum to exactly 1.
      action: `[]` int, the recommended action; may be traced.
      nudge: `[]`, in units of reward, by how much `action` must beat every other action.

    Returns:
      The `Contract` with payments `[O]`, in units of reward. No gradient passes through it:
      it is part of the targets, which are constants of a learning step.
      Where no contract implements `action`, payments are 0 and the flag is False.

    Raises:
      AssertionError: the shapes do not fit together.
    """
    chex.assert_rank(outcome_probs, 2)
    chex.assert_shape(q_truncated, (outcome_probs.shape[0],))
    inputs = (q_truncated, outcome_probs, jnp.asarray(nudge))
    q, probs, nudge = (lax.stop_gradient(x).astype(jnp.float32) for x in inputs)
    own = jnp.arange(q.shape[0]) == action
    cost = jnp.sum(jnp.where(own[:, None], probs, 0), axis=0)
    gain = _two_sum(cost, -probs)
    gap = _required_gain(q, own, nudge)
    if min(probs.shape) <= 2:
        payments, implementable = _pay_one_outcome(cost, gain, gap)
    else:
        payments, implementable = _dual_simplex(cost, gain, gap)
    implementable &= jnp.all(jnp.isfinite(payments))
    payments = jnp.where(implementable, payments, 0)
    return Contract(payments, jnp.sum(cost * payments), implementable)


def observed_action_contract(
    q_truncated: jax.Array, action: ArrayLike, nudge: ArrayLike = 0.0
) -> Contract:
    """Returns the least-payment contract where the principal observes the action itself.

    The outcome matrix is the identity: `b(a) = max(0, max_a' Q(a') + nudge - Q(a))`, nothing for
    any other action, always implementable.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      action: `[]` int, the recommended action; may be traced.
      nudge: `[]`, in units of reward, by how much `action` must beat every other action.

    Returns:
      The `Contract` with payments `[A]`. No gradient passes through it.
    """
    chex.assert_rank(q_truncated, 1)
    inputs = (q_truncated, jnp.asarray(nudge))
    q, nudge = (lax.stop_gradient(x).astype(jnp.float32) for x in inputs)
    own = jnp.arange(q.shape[0]) == action
    payment = jnp.maximum(jnp.max(_required_gain(q, own, nudge).hi), 0)
    return Contract(jnp.where(own, payment, 0), payment, jnp.bool_(True))


def expected_payment(payments: jax.Array, outcome_probs: jax.Array) -> jax.Array:
    """Returns the mean payment of each action, E_{o ~ O(a)} b(o): `[O]`, `[A, O]` -> `[A]`."""
    return jnp.sum(outcome_probs * payments, axis=-1)


def incentive_slack(
    q_truncated: jax.Array, outcome_probs: jax.Array, action: ArrayLike, payments: jax.Array
) -> jax.Array:
    """Returns by how much `action` beats the agent's best deviation under a contract.

    At least the nudge, up to rounding, where the contract implements the action; infinite
    where there is no other action.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      outcome_probs: `[A, O]`, O(s, a)(o).
      action: `[]` int, the recommended action.
      payments: `[O]`.

    Returns:
      `[]`, in units of reward.
    """
    own = jnp.arange(q_truncated.shape[0]) == action
    value = q_truncated + expected_payment(payments, outcome_probs)
    own_value = jnp.sum(jnp.where(own, value, 0))
    return jnp.min(jnp.where(own, jnp.inf, own_value - value))


class _Pair(NamedTuple):
    """The unevaluated sum of two float32, the second below the first's last bit."""

    hi: jax.Array
    lo: jax.Array


class _Dictionary(NamedTuple):
    """A simplex dictionary: each basic variable as a function of the nonbasic ones.

    `entries` is `[A + 1, O + 1]`: rows are the basic variables and, last, the objective;
    columns the nonbasic variables and, last, the constant. Variables are numbered: payments
    0..O-1, then the constraints' slacks.
    """

    entries: _Pair
    basic: jax.Array  # [A]
    nonbasic: jax.Array  # [O]
    pivots: jax.Array  # []
    implementable: jax.Array  # []


def _required_gain(q: jax.Array, own: jax.Array, nudge: jax.Array) -> _Pair:
    """`[A]`: Q(a') - Q(a) + nudge as a pair, so a small gap of large values keeps its digits."""
    gap = _two_sum(q, -jnp.sum(jnp.where(own, q, 0)))
    gap = _add(gap, _Pair(nudge, jnp.zeros_like(nudge)))
    return jax.tree.map(lambda x: jnp.where(own, 0, x), gap)


def _pay_one_outcome(cost: jax.Array, gain: _Pair, gap: _Pair) -> tuple[jax.Array, jax.Array]:
    """Solves a program of two actions, or of two outcomes, where one payment is enough.

    Two actions leave one constraint, and a basic solution has one payment per constraint: the one
    on the outcome with the best `gain / cost`. Of two outcomes only the difference of their
    payments matters, and it is cheapest to pay it on one.
    """
    lift, needed = gain.hi, gap.hi[:, None]
    bound = needed / jnp.where(lift == 0, 1, lift)
    least = jnp.max(jnp.where(lift > 0, bound, 0), axis=0, initial=0)
    most = jnp.min(jnp.where(lift < 0, bound, jnp.inf), axis=0)
    # Rounding must not turn down the one contract that two opposite constraints leave.
    feasible = jnp.isfinite(least) & (least <= most * (1 + 1e-6))
    feasible &= jnp.all((lift != 0) | (needed <= 0), axis=0)
    cheapest = _first_minimum(jnp.where(feasible, cost * least, jnp.inf))
    return jnp.where(cheapest & feasible, least, 0), jnp.any(feasible)


def _dual_simplex(cost: jax.Array, gain: _Pair, gap: _Pair) -> tuple[jax.Array, jax.Array]:
    """Solves the program in general: the payments `[O]`, and whether there are any.

    Paying nothing violates constraints but is dual feasible, because the costs are probabilities:
    there is no phase I. Each pivot repairs the most violated constraint at the least price.
    """
    actions, outcomes = gain.hi.shape
    # An outcome that the recommended action never causes is never worth a payment.
    gain = jax.tree.map(lambda x: jnp.where(cost > 0, x, 0), gain)
    # Ties between costs, common where rows hold round numbers, could make the simplex cycle.
    untied = cost * (1 + _TIE_BREAK * jnp.sin(jnp.arange(outcomes)))
    hi = jnp.block([[gain.hi, -gap.hi[:, None]], [untied, jnp.zeros(1)]])
    lo = jnp.pad(jnp.column_stack([gain.lo, -gap.lo]), ((0, 1), (0, 0)))
    start = _Dictionary(
        entries=_Pair(hi, lo),
        basic=outcomes + jnp.arange(actions),
        nonbasic=jnp.arange(outcomes),
        pivots=jnp.int32(0),
        implementable=jnp.bool_(True),
    )
    violation = _VIOLATION_TOLERANCE * jnp.max(jnp.abs(gap.hi))

    def unfinished(d: _Dictionary) -> jax.Array:
        violated = jnp.min(d.entries.hi[:-1, -1]) < -violation
        # Ten actions and outcomes take 3 pivots on average and 17 at most in 40,000 programs.
        return d.implementable & violated & (d.pivots < 8 * (actions + outcomes))

    end = lax.while_loop(unfinished, _pivot, start)
    constants = jnp.maximum(end.entries.hi[:-1, -1:], 0)
    is_paid = end.basic[:, None] == jnp.arange(outcomes)
    payments = jnp.sum(jnp.where(is_paid, constants, 0), axis=0)
    return payments, end.implementable & ~unfinished(end)


def _pivot(d: _Dictionary) -> _Dictionary:
    """Swaps the most violated basic variable with the nonbasic one that repairs it cheapest."""
    outcomes = d.nonbasic.shape[0]
    leaving = _first_minimum(d.entries.hi[:-1, -1])
    in_row = jnp.append(leaving, False)
    row = _select(d.entries, in_row[:, None], axis=0)
    # Paying all outcomes the same changes no constraint where rows sum to 1, so one is always
    # unpaid: what the last one seems to be worth is the rounding of the rows.
    is_payment = d.nonbasic < outcomes
    is_last = is_payment & (jnp.sum(is_payment) == 1) & ~jnp.any(leaving & (d.basic < outcomes))
    usable = (row.hi[:-1] > _PIVOT_TOLERANCE) & ~is_last
    implementable = jnp.any(usable)
    price = jnp.maximum(d.entries.hi[-1, :-1], 0) / jnp.where(usable, row.hi[:-1], 1)
    entering = usable & _first_minimum(jnp.where(usable, price, jnp.inf))
    in_column = jnp.append(entering, False)

    # Row r says x_r = ... + p x_c; solved for x_c and put into the other rows, that is one outer
    # product, with 1 / p in the new row r and column c where the entry p was.
    pivot = _select(row, in_column, axis=0)
    inverse = _reciprocal(_Pair(jnp.where(implementable, pivot.hi, 1), pivot.lo))
    solved = _multiply(row, _Pair(-inverse.hi, -inverse.lo))
    solved = jax.tree.map(lambda new, x: jnp.where(in_column, new, x), inverse, solved)
    column = _select(d.entries, in_column, axis=1)
    column = _Pair(
        jnp.where(in_row, 1, column.hi)[:, None], jnp.where(in_row, 0, column.lo)[:, None]
    )
    crossed = in_row[:, None] | in_column
    others = jax.tree.map(lambda x: jnp.where(crossed, 0, x), d.entries)
    return _Dictionary(
        entries=_add(others, _multiply(column, solved)),
        basic=jnp.where(leaving, jnp.sum(jnp.where(entering, d.nonbasic, 0)), d.basic),
        nonbasic=jnp.where(entering, jnp.sum(jnp.where(leaving, d.basic, 0)), d.nonbasic),
        pivots=d.pivots + 1,
        implementable=implementable,
    )


def _first_minimum(x: jax.Array) -> jax.Array:
    """`[X]` -> one-hot bool of the first minimum: two plain reductions vectorise, argmin not."""
    index = jnp.arange(x.shape[0])
    return index == jnp.min(jnp.where(x == jnp.min(x), index, x.shape[0]))


def _select(x: _Pair, one_hot: jax.Array, axis: int) -> _Pair:
    """Picks by a mask: a traced index would become a gather under `vmap`."""
    return jax.tree.map(lambda part: jnp.sum(jnp.where(one_hot, part, 0), axis=axis), x)


def _two_sum(a: jax.Array, b: jax.Array) -> _Pair:
    """The sum of two float32 with its exact rounding error (Knuth 1969)."""
    total = a + b
    rest = total - a
    return _Pair(total, (a - (total - rest)) + (b - rest))


def _normalise(hi: jax.Array, lo: jax.Array) -> _Pair:
    total = hi + lo
    return _Pair(total, lo - (total - hi))


def _add(x: _Pair, y: _Pair) -> _Pair:
    total = _two_sum(x.hi, y.hi)
    return _normalise(total.hi, total.lo + (x.lo + y.lo))


def _multiply(x: _Pair, y: _Pair) -> _Pair:
    """Dekker's product (1971), splits by masks: XLA may fuse `a * b - c`, which undoes his."""
    x_high, y_high = _mask_bits(x.hi, 0xFFFFF000), _mask_bits(y.hi, 0xFFFFF000)
    x_low, y_low = x.hi - x_high, y.hi - y_high
    total = _mask_bits(x.hi * y.hi, 0xFFFFFFFE)
    error = ((x_high * y_high - total) + x_high * y_low + x_low * y_high) + x_low * y_low
    return _normalise(total, error + (x.hi * y.lo + x.lo * y.hi))


def _mask_bits(x: jax.Array, mask: int) -> jax.Array:
    bits = lax.bitcast_convert_type(x, jnp.uint32) & jnp.uint32(mask)
    return lax.bitcast_convert_type(bits, jnp.float32)


def _reciprocal(x: _Pair) -> _Pair:
    """1 / x by one Newton step from the float32 quotient."""
    guess = _Pair(1 / x.hi, jnp.zeros_like(x.hi))
    product = _multiply(x, guess)
    error = _add(_Pair(jnp.ones_like(x.hi), guess.lo), _Pair(-product.hi, -product.lo))
    return _add(guess, _multiply(guess, error))
