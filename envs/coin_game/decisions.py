"""What two agents do in one state of the Coin Game, given what follows each joint action.

A rule takes a `Sums` with leaves `[N, A, A]` and, where it plays given policies, that state's rows
of their tables. It returns a `Choice`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.numbers import in_proportion, ties

NUM_AGENTS = 2


class Sums(NamedTuple):
    """What each agent still gets until the end of the episode, in expectation.

    Attributes:
      reward: `[N, ...]`, in units of reward.
      payment: `[N, ...]`.
    """

    reward: jax.Array
    payment: jax.Array

    @property
    def utility(self) -> jax.Array:
        """`[N, ...]`, rewards and payments."""
        return self.reward + self.payment


class Choice(NamedTuple):
    """What happens in one state: the actions `[N]`, and what they are paid `[N]`."""

    action: jax.Array
    payment: jax.Array


#: (what follows each joint action, rows of further tables) -> what happens.
Rule = Callable[..., Choice]


def at_action(table: jax.Array, action: jax.Array) -> jax.Array:
    """The entry `[...]` of a table `[..., A, A]` at a joint action `[N]`.

    Examples:
      >>> at_action(jnp.arange(16).reshape(4, 4), jnp.array([1, 2])).tolist()
      6
    """
    return table[..., action[0], action[1]]


def first_best(value: jax.Array) -> jax.Array:
    """The joint action `[N]` of the largest `value` `[A, A]`, the first of those that tie.

    Examples:
      >>> first_best(jnp.array([[0.0, 2.0], [2.0, 1.0]])).tolist()
      [0, 1]
    """
    is_best = ties(value, jnp.max(value))
    return jnp.stack(jnp.divmod(jnp.argmax(is_best.ravel()), value.shape[1]))


def deviation_gains(
    utility: jax.Array,
    nudge: ArrayLike = 0.0,
    *,
    worth: jax.Array | None = None,
    scale: ArrayLike = 0.0,
) -> jax.Array:
    """`[N, A, A]`: what each must be paid for its part of each joint action to be best for it.

    That is what it would gain by its best deviation, alone, and the nudge; but never less than 0.
    With a `scale` `[]` the nudge against a deviation is in proportion to what the principal loses
    by it, up to that; `worth` `[A, A]` is what joint actions are worth to it.

    Examples:
      A prisoner's dilemma: whoever cooperates (0) would gain 1 by defecting (1).

      >>> first = jnp.array([[2.0, 0.0], [3.0, 1.0]])
      >>> deviation_gains(jnp.stack([first, first.T])).tolist()
      [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]
    """

    def gains(own: jax.Array, worth: jax.Array) -> jax.Array:
        """Of the first axis's agent."""
        lead = own[:, None] - own[None]  # of an action over its part
        margin = in_proportion(nudge, worth[None] - worth[:, None], scale)
        is_same = jnp.eye(len(own), dtype=bool)[..., None]
        return jnp.max(jnp.where(is_same, 0, lead + margin), axis=0)

    worth = jnp.zeros_like(utility[0]) if worth is None else worth
    return jnp.stack([gains(utility[0], worth), gains(utility[1].T, worth.T).T])


def unique_payments(gains: jax.Array) -> jax.Array:
    """`[N, A, A]`: what is enough to have each joint action taken for sure.

    One agent is paid what makes its part best whatever the other does, and the other what makes it
    best if the first one does its part: whichever way round costs less. With any more than that,
    nothing else survives iterated elimination. It is an upper bound: it may cost less to rule out
    some actions of one agent, then some of the other's, and only then the rest.

    Args:
      gains: `[N, A, A]`, see `deviation_gains`.
    """
    first = gains.at[0].set(jnp.max(gains[0], axis=1, keepdims=True))
    second = gains.at[1].set(jnp.max(gains[1], axis=0, keepdims=True))
    saved = -jnp.stack([first.sum(axis=0), second.sum(axis=0)])
    return jnp.where(ties(saved[0], jnp.max(saved, axis=0)), first, second)


def most_welfare(follows: Sums) -> Choice:
    """The joint action with the largest sum of rewards; nobody is paid."""
    action = first_best(follows.reward.sum(axis=0))
    return Choice(action, jnp.zeros(NUM_AGENTS))


def selfish(follows: Sums) -> Choice:
    """A pure Nash equilibrium, or the joint action closest to one; nobody is paid.

    Nobody gains by deviating from a Nash equilibrium: the sum of the gains is 0 there. Where there
    is none, the joint action with the least sum is played.
    """
    gain = deviation_gains(follows.utility).sum(axis=0)
    action = first_best(-gain)
    return Choice(action, jnp.zeros(NUM_AGENTS))


def least_payment(
    follows: Sums,
    alpha: ArrayLike,
    nudge: ArrayLike = 0.0,
    nudge_scale: ArrayLike = 0.0,
    *,
    unique: bool = False,
) -> Choice:
    """The principal's best joint action, at the least payments that make both follow.

    The payment for an action is what the agent would gain by its best deviation. It leaves the
    agent as well off as that deviation, and costs the principal `alpha` `[]` a unit. With `unique`
    payments are those of `unique_payments`: with any more, following is the only equilibrium of
    this state, given what follows.
    """
    worth = jnp.sum(follows.reward - alpha * follows.payment, axis=0)
    price = deviation_gains(follows.utility, nudge, worth=worth, scale=nudge_scale)
    if unique:
        price = unique_payments(price)
    objective = follows.reward - alpha * (follows.payment + price)
    action = first_best(objective.sum(axis=0))
    return Choice(action, at_action(price, action))


def given(follows: Sums, action: jax.Array, payment: jax.Array) -> Choice:
    """The given actions `[N]`, paid `payment` `[N]`."""
    del follows
    return Choice(action, payment)


def respond(agent: jax.Array, follows: Sums, action: jax.Array, payments: jax.Array) -> Choice:
    """The given actions `[N]`, but for `agent` `[]`, which does what is best for itself.

    It is paid `payments` `[N, A]` of its own action. The other agent's payment does not matter to
    it, and is 0.
    """
    by_first, by_second = follows.utility[0][:, action[1]], follows.utility[1][action[0]]
    best = jnp.argmax(jnp.where(agent == 0, by_first, by_second) + payments[agent])
    is_agent = jnp.arange(NUM_AGENTS) == agent
    action = jnp.where(is_agent, best, action.astype(best.dtype))
    return Choice(action, jnp.where(is_agent, payments[agent, best], 0))
