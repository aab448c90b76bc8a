"""What it costs to have several agents take their parts in each joint action of one state."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.contracts.least_payment import minimal_contract
from jaxparl.numbers import in_proportion, ties


class Price(NamedTuple):
    """What joint actions cost.

    Attributes:
      payment: `[..., A, ..., A]`, expected, of one agent or `[N, ...]` of all.
      implementable: bool of the same shape, whether any contract does it; always so where actions
        are observed.
    """

    payment: jax.Array
    implementable: jax.Array


class Nudge(NamedTuple):
    """By how much an agent's part is to be better for it than anything else.

    Attributes:
      size: `[]`, in units of reward.
      scale: `[]`, what the principal has to lose by a deviation for the full nudge against it; if
        it would lose less, the margin is in proportion. With 0 it is the nudge throughout.
      worth: `[A, ..., A]`, what joint actions are worth to the principal; None where nobody says,
        and then it is the nudge throughout.
    """

    size: ArrayLike = 0.0
    scale: ArrayLike = 0.0
    worth: jax.Array | None = None

    def against(self, agent: int) -> jax.Array:
        """`[A, A, ...]` or `[]`, the margins: by what an agent does, its part, and what others do.

        Those against its part itself mean nothing.
        """
        if self.worth is None:
            return jnp.asarray(self.size)
        worth = jnp.moveaxis(self.worth, agent, 0)
        return in_proportion(self.size, worth[None] - worth[:, None], self.scale)


_NO_NUDGE = Nudge()


def deviation_gains(utility: jax.Array, nudge: Nudge = _NO_NUDGE) -> jax.Array:
    """`[N, A, ..., A]`: what each must be paid for its part of each joint action to be best for it.

    That is what it would gain by its best deviation, alone, and the nudge; but never less than 0.

    Args:
      utility: `[N, A, ..., A]`.
      nudge: by how much its part is to be better.

    Examples:
      A prisoner's dilemma: whoever cooperates (0) would gain 1 by defecting (1).

      >>> first = jnp.array([[2.0, 0.0], [3.0, 1.0]])
      >>> utility = jnp.stack([first, first.T])
      >>> deviation_gains(utility)[0].tolist()
      [[1.0, 1.0], [0.0, 0.0]]
      >>> deviation_gains(utility, Nudge(0.5))[0].tolist()
      [[1.5, 1.5], [0.0, 0.0]]
    """
    return jnp.stack([_gain(own, agent, nudge) for agent, own in enumerate(utility)])


def _gain(own: jax.Array, agent: int, nudge: Nudge) -> jax.Array:
    """`[A, ..., A]`, the same of one agent, by its utilities."""
    return jnp.moveaxis(jnp.max(_leads(own, agent, nudge), axis=0), 0, agent)


def _leads(own: jax.Array, agent: int, nudge: Nudge) -> jax.Array:
    """`[A, A, ...]`, how much better than its part everything is for an agent, and the margin.

    The first two axes are what it does and what its part is, where both are the same it is 0; then
    come the other agents.

    Args:
      own: `[A, ..., A]`, its utility.
      agent: which.
      nudge: by how much its part is to be better.
    """
    first = jnp.moveaxis(own, agent, 0)
    is_part = jnp.eye(len(first), dtype=bool).reshape(len(first), -1, *(1,) * (first.ndim - 1))
    return jnp.where(is_part, 0, first[:, None] - first[None] + nudge.against(agent))


def price(
    utility: jax.Array,
    outcome_probs: jax.Array | None,
    agent: int,
    *,
    anything: Sequence[int] = (),
    nudge: Nudge = _NO_NUDGE,
) -> Price:
    """What it costs to have one agent take its part in each joint action.

    Args:
      utility: `[N, A, ..., A]`, what each agent gets by each joint action.
      outcome_probs: `[N, A, O]`; None where actions are observed.
      agent: which.
      anything: agents that may do anything at all. Its part is worthwhile whatever they do, while
        all others do theirs.
      nudge: by how much its part is to be better.

    Returns:
      Of this agent, `[A, ..., A]`.
    """
    axes, own = tuple(anything), utility[agent]
    if outcome_probs is None:
        gain = _gain(own, agent, nudge)
        gain = jnp.broadcast_to(jnp.max(gain, axis=axes, keepdims=True), gain.shape)
        return Price(gain, jnp.ones_like(gain, bool))
    probs = outcome_probs[agent]
    of_others = jax.vmap(minimal_contract, in_axes=(0, None, None))  # over what they do

    def of_action(action: jax.Array, leads: jax.Array) -> Price:
        """Of one action: by what the others do, without the axis of this agent."""
        gaps = jnp.max(jnp.moveaxis(leads, 0, agent), axis=axes, keepdims=True)
        gaps = jnp.moveaxis(gaps, agent, -1)
        contract = of_others(gaps.reshape(-1, len(probs)), probs, action)
        full = [size for axis, size in enumerate(own.shape) if axis != agent]
        found = Price(contract.expected_payment, contract.implementable)
        return jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf.reshape(gaps.shape[:-1]), full), found
        )

    by_part = jax.vmap(of_action, in_axes=(0, 1), out_axes=agent)
    every: Price = by_part(jnp.arange(len(probs)), _leads(own, agent, nudge))
    return every


def least_payments(
    utility: jax.Array, outcome_probs: jax.Array | None = None, nudge: Nudge = _NO_NUDGE
) -> Price:
    """What it costs to have each agent take its part in each joint action, if the others do.

    Args:
      utility: `[N, A, ..., A]`, what each agent gets by each joint action.
      outcome_probs: `[N, A, O]`; None where actions are observed.
      nudge: by how much its part is to be better.

    Returns:
      Of all agents, `[N, A, ..., A]`.
    """
    found = [price(utility, outcome_probs, agent, nudge=nudge) for agent in range(len(utility))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def unique_payments(
    utility: jax.Array, outcome_probs: jax.Array | None = None, nudge: Nudge = _NO_NUDGE
) -> Price:
    """What is enough to have each joint action taken for sure, one agent after the other.

    The agents are put in an order. The first is paid so that its part is best for it whatever the
    others do; the next, whatever those after it do, as the first one does its part; and so on. With
    any more than that, nothing else survives iterated elimination, and no worse convention can hold
    (Segal 2003; Winter 2004). For each joint action it is the order that costs least, on ties the
    one of their numbers, found over sets of agents, those that come first.

    It is the least over all orders in which agents are won over, one whole agent at a time. With
    two actions each, nothing less is enough. With more it is an upper bound: it may cost less to
    rule out some of an agent's actions, then some of another's, and only then the rest.

    Args:
      utility: as for `least_payments`.
      outcome_probs: likewise.
      nudge: likewise.

    Returns:
      Of all agents, `[N, A, ..., A]`.

    Examples:
      A stag hunt. Nobody need be paid to hunt the stag (0) with the other; but for sure, one is
      paid the 3 that it would miss if the other went for the hare (1).

      >>> first = jnp.array([[4.0, 0.0], [3.0, 3.0]])
      >>> utility = jnp.stack([first, first.T])
      >>> [find(utility).payment[:, 0, 0].tolist() for find in (least_payments, unique_payments)]
      [[0.0, 0.0], [3.0, 0.0]]
    """
    agents = frozenset(range(len(utility)))
    nothing = jnp.zeros_like(utility)
    found = {frozenset[int](): Price(nothing, jnp.ones_like(nothing, bool))}
    for size in range(1, len(agents) + 1):
        for first in map(frozenset, itertools.combinations(sorted(agents), size)):
            rest, ways = sorted(agents - first), []
            for last in sorted(first, reverse=True):
                added = price(utility, outcome_probs, last, anything=rest, nudge=nudge)
                ways.append(_with(found[first - {last}], last, added))
            found[first] = functools.reduce(_cheaper, ways)
    return found[agents]


def _with(before: Price, agent: int, added: Price) -> Price:
    """What some agents cost, and one more."""
    return jax.tree.map(lambda rows, row: rows.at[agent].set(row), before, added)


def _cheaper(one: Price, other: Price) -> Price:
    """Of two ways to implement each joint action the one that costs less, the first on ties."""

    def saves(way: Price) -> jax.Array:
        return jnp.where(way.implementable.all(axis=0), -way.payment.sum(axis=0), -jnp.inf)

    # Rounding must not decide: who comes first makes a difference to both in the states before.
    is_less = ~ties(saves(one), jnp.maximum(saves(one), saves(other)))
    return jax.tree.map(lambda here, there: jnp.where(is_less, there, here), one, other)
