"""Least-payment contracts: what the principal offers to have an action taken.

For a recommended action `a` the least-payment contract is the linear program of
Ivanov et al. 2024 (arXiv 2407.18074)

    minimise    E_{o ~ O(a)} b(o)       over b >= 0 (limited liability), subject to
    E_{O(a)} b + Q(a) >= E_{O(a')} b + Q(a') + nudge        for every other action a'

where `Q` is the agent's truncated Q-value: its value of an action without this step's
payment. A closed form solves it where one payment is enough (two actions, or two outcomes), a dual
simplex otherwise. Every function takes one program; `vmap` batches. They compute in float64 where
they are given float64, and in float32 otherwise.
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxparl.contracts import float_pairs
from jaxparl.contracts.dual_simplex import dual_simplex, first_minimum
from jaxparl.contracts.float_pairs import Pair
from jaxparl.numbers import by_precision, precision_of
from jaxparl.types import Contract


def minimal_contract(
    q_truncated: jax.Array,
    outcome_probs: jax.Array,
    action: ArrayLike,
    nudge: ArrayLike = 0.0,
) -> Contract:
    """Returns the contract of least expected payment that makes `action` a best response.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      outcome_probs: `[A, O]`, O(s, a)(o); a row, which is rounded, need not sum to exactly 1.
      action: `[]` int, the recommended action; may be traced.
      nudge: `[]`, in units of reward, by how much `action` must beat every other action.

    Returns:
      The `Contract` with payments `[O]`, in units of reward. Where no contract implements `action`,
      or only one that pays for what is the rounding of the rows, the payments are 0 and the flag is
      False. No gradient passes through it, because contracts are part of the targets, which are
      constants of a learning step.

    Raises:
      AssertionError: the shapes do not fit together.

    Examples:
      Work costs the agent 0.5 and succeeds (the first outcome) with probability 0.75 rather than
      0.25. The least payment for a success that is worth the effort is 0.5 / (0.75 - 0.25):

      >>> import jax.numpy as jnp
      >>> from jaxparl.contracts import minimal_contract
      >>> q_truncated = jnp.array([-0.5, 0.0])  # work, shirk
      >>> outcome_probs = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> contract = minimal_contract(q_truncated, outcome_probs, action=0)
      >>> print(contract.payments, contract.expected_payment)
      [1. 0.] 0.75

      If both actions lead to the same outcomes, no contract can make the agent work:

      >>> print(minimal_contract(q_truncated, jnp.full((2, 2), 0.5), action=0).implementable)
      False
    """
    chex.assert_rank(outcome_probs, 2)
    chex.assert_shape(q_truncated, (outcome_probs.shape[0],))
    inputs = (q_truncated, outcome_probs, jnp.asarray(nudge))
    dtype = precision_of(q_truncated, outcome_probs)
    q, probs, nudge = (lax.stop_gradient(x).astype(dtype) for x in inputs)
    own = jnp.arange(q.shape[0]) == action
    cost = jnp.sum(jnp.where(own[:, None], probs, 0), axis=0)
    gain = float_pairs.two_sum(cost[None], -probs)
    gap = _required_gain(q, own, nudge)
    solve = _pay_one_outcome if min(probs.shape) <= 2 else dual_simplex
    payments, implementable = solve(cost, gain, gap)
    implementable &= jnp.all(jnp.isfinite(payments)) & _is_resolved(payments, probs, gap)
    payments = jnp.where(implementable, payments, 0)
    return Contract(payments, jnp.sum(cost * payments), implementable)


def observed_action_contract(
    q_truncated: jax.Array, action: ArrayLike, nudge: ArrayLike = 0.0
) -> Contract:
    """Returns the least-payment contract where the principal observes the action itself.

    The outcome matrix is the identity: `b(a) = max(0, max_a' Q(a') + nudge - Q(a))`, and 0 for
    every other action. Every action is implementable.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      action: `[]` int, the recommended action; may be traced.
      nudge: `[]`, in units of reward, by how much `action` must beat every other action.

    Returns:
      The `Contract` with payments `[A]`. No gradient passes through it.

    Examples:
      The agent prefers the second action by 0.75, so this is the price of the first. A nudge is
      paid on top:

      >>> import jax.numpy as jnp
      >>> from jaxparl.contracts import observed_action_contract
      >>> q_truncated = jnp.array([-0.75, 0.0, -0.5])
      >>> print(observed_action_contract(q_truncated, action=0).payments)
      [0.75 0.   0.  ]
      >>> print(observed_action_contract(q_truncated, action=0, nudge=0.25).payments)
      [1. 0. 0.]

      The action that the agent takes anyway is free:

      >>> print(observed_action_contract(q_truncated, action=1).payments)
      [0. 0. 0.]
    """
    chex.assert_rank(q_truncated, 1)
    inputs = (q_truncated, jnp.asarray(nudge))
    dtype = precision_of(q_truncated)
    q, nudge = (lax.stop_gradient(x).astype(dtype) for x in inputs)
    own = jnp.arange(q.shape[0]) == action
    payment = jnp.maximum(jnp.max(_required_gain(q, own, nudge).hi), 0)
    return Contract(jnp.where(own, payment, 0), payment, jnp.bool_(True))


def expected_payment(payments: jax.Array, outcome_probs: jax.Array) -> jax.Array:
    """Returns the mean payment of each action, E_{o ~ O(a)} b(o).

    Args:
      payments: `[O]`, in units of reward.
      outcome_probs: `[A, O]`, O(s, a)(o).

    Returns:
      `[A]`, in units of reward.

    Examples:
      The first action succeeds with probability 0.75, the second with 0.25. A success is paid 1:

      >>> import jax.numpy as jnp
      >>> from jaxparl.contracts import expected_payment
      >>> outcome_probs = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> print(expected_payment(jnp.array([1.0, 0.0]), outcome_probs))
      [0.75 0.25]
    """
    return jnp.sum(outcome_probs * payments[None], axis=-1)


def incentive_slack(
    q_truncated: jax.Array, outcome_probs: jax.Array, action: ArrayLike, payments: jax.Array
) -> jax.Array:
    """Returns by how much `action` beats the agent's best deviation under a contract.

    It is at least the nudge, up to rounding, where the contract implements the action. It is
    infinite where there is no other action.

    Args:
      q_truncated: `[A]`, the agent's value of each action without this step's payment.
      outcome_probs: `[A, O]`, O(s, a)(o).
      action: `[]` int, the recommended action; may be traced.
      payments: `[O]`, in units of reward.

    Returns:
      `[]`, in units of reward.

    Examples:
      Work costs the agent 0.5. A payment of 1 for a success leaves it indifferent, one of 2 makes
      work better by 0.5:

      >>> import jax.numpy as jnp
      >>> from jaxparl.contracts import incentive_slack
      >>> q_truncated = jnp.array([-0.5, 0.0])  # work, shirk
      >>> outcome_probs = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> for payment in (0.0, 1.0, 2.0):
      ...     print(incentive_slack(q_truncated, outcome_probs, 0, jnp.array([payment, 0.0])))
      -0.5
      0.0
      0.5
    """
    own = jnp.arange(q_truncated.shape[0]) == action
    value = q_truncated + expected_payment(payments, outcome_probs)
    own_value = jnp.sum(jnp.where(own, value, 0))
    return jnp.min(jnp.where(own, jnp.inf, own_value - value))


def _required_gain(q: jax.Array, own: jax.Array, nudge: jax.Array) -> Pair:
    """`[A]`: Q(a') - Q(a) + nudge as a pair, so that a small gap of large values is exact."""
    gap = float_pairs.two_sum(q, -jnp.sum(jnp.where(own, q, 0)))
    gap = float_pairs.add(gap, Pair(nudge, jnp.zeros_like(nudge)))
    return jax.tree.map(lambda x: jnp.where(own, 0, x), gap)


def _is_resolved(payments: jax.Array, probs: jax.Array, gap: Pair) -> jax.Array:
    """`[]` bool, whether what a contract achieves is more than the rounding of probabilities.

    A row that is a mixture of others, as those of efforts in between often are, is one no more when
    it is rounded. An action that cannot be implemented then seems to be, at payments in millions.
    """
    most = jnp.max(jnp.sum(probs * payments[None], axis=-1))
    return most <= by_precision(probs.dtype, single=1e5, double=1e13) * jnp.max(gap.hi)


def _pay_one_outcome(cost: jax.Array, gain: Pair, gap: Pair) -> tuple[jax.Array, jax.Array]:
    """Solves a program of two actions, or of two outcomes, where one payment is enough.

    Two actions leave one constraint, and a basic solution has one payment per constraint: the one
    on the outcome with the best `gain / cost`. Of two outcomes only the difference of their
    payments matters, and the cheapest contract with a given difference pays for one of them only.
    Arguments and results are those of `dual_simplex`.
    """
    lift, needed = gain.hi, gap.hi[:, None]
    bound = needed / jnp.where(lift == 0, 1, lift)
    least = jnp.max(jnp.where(lift > 0, bound, 0), axis=0, initial=0)
    most = jnp.min(jnp.where(lift < 0, bound, jnp.inf), axis=0)
    # Two opposite constraints may leave exactly one contract, which rounding must not reject.
    slack = by_precision(cost.dtype, single=1e-6, double=1e-14)
    feasible = jnp.isfinite(least) & (least <= most * (1 + slack))
    feasible &= jnp.all((lift != 0) | (needed <= 0), axis=0)
    cheapest = first_minimum(jnp.where(feasible, cost * least, jnp.inf))
    return jnp.where(cheapest & feasible, least, 0), jnp.any(feasible)
