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

from jaxparl.contracts.joint_payments import deviation_gains, least_payments, unique_payments
from jaxparl.numbers import ties

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
    follows: Sums, alpha: ArrayLike, nudge: ArrayLike = 0.0, *, unique: bool = False
) -> Choice:
    """The principal's best joint action, at the least payments that make both follow.

    It costs the principal `alpha` `[]` a unit. Following is an equilibrium at the payments of
    `least_payments`; with `unique`, at those of `unique_payments`, it is the only one.
    """
    price = (unique_payments if unique else least_payments)(follows.utility, nudge=nudge)
    objective = follows.reward - alpha * (follows.payment + price.payment)
    action = first_best(objective.sum(axis=0))
    return Choice(action, at_action(price.payment, action))


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
