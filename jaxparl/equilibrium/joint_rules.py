"""What N agents do in one state of a `JointGame`, given what follows each joint action.

A rule takes a `JointState` and, where it plays given policies, that state's rows of their tables.
It returns a `JointChoice`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.contracts.joint_payments import deviation_gains, least_payments, unique_payments
from jaxparl.numbers import ties


class JointState(NamedTuple):
    """One state, and what each still gets from it on, by joint action `[J]`, in expectation.

    Attributes:
      reward: `[N, J]`, what the agents get, payments not included.
      payment: `[N, J]`, what they will be paid from the next step on.
      principal_reward: `[J]`, what the principal gets, before it pays.
      outcome_probs: `[N, A, O]`; None where actions are observed.
      num_actions: A.
    """

    reward: jax.Array
    payment: jax.Array
    principal_reward: jax.Array
    outcome_probs: jax.Array | None
    num_actions: int

    @property
    def utility(self) -> jax.Array:
        """`[N, J]`, rewards and payments."""
        return self.reward + self.payment

    @property
    def utility_by_action(self) -> jax.Array:
        """`[N, A, ..., A]`, the same by the action of each agent, where J has all joint actions."""
        num_agents = len(self.reward)
        return self.utility.reshape(num_agents, *(self.num_actions,) * num_agents)


class JointChoice(NamedTuple):
    """What happens in one state.

    Attributes:
      joint: `[]` int, the joint action, by its place on the axis J.
      payment: `[N]`, what it is paid in this step, in expectation.
    """

    joint: jax.Array
    payment: jax.Array


#: (one state, rows of further tables) -> what happens.
Rule = Callable[..., JointChoice]


def first_best(value: jax.Array) -> jax.Array:
    """The joint action of the largest `value` `[J]`, the first of those that tie.

    Examples:
      >>> first_best(jnp.array([0.0, 2.0, 2.0, 1.0])).item()
      1
    """
    return jnp.argmax(ties(value, jnp.max(value)))


def most_welfare(state: JointState) -> JointChoice:
    """The joint action with the largest sum of rewards; nobody is paid."""
    return JointChoice(first_best(state.reward.sum(axis=0)), jnp.zeros(len(state.reward)))


def selfish(state: JointState) -> JointChoice:
    """A pure Nash equilibrium, or the joint action closest to one; nobody is paid.

    Nobody gains by deviating from a Nash equilibrium: the sum of the gains is 0 there. Where there
    is none, the joint action with the least sum is played. The first is, where several tie.
    """
    gain = deviation_gains(state.utility_by_action).sum(axis=0).ravel()
    return JointChoice(first_best(-gain), jnp.zeros(len(state.reward)))


def least_payment(
    state: JointState, alpha: ArrayLike, nudge: ArrayLike = 0.0, *, unique: bool = False
) -> JointChoice:
    """The principal's best joint action, at the least payments that make all follow.

    It costs the principal `alpha` `[]` a unit. Following is an equilibrium at the payments of
    `least_payments`; with `unique`, at those of `unique_payments`, it is the only one. They are NaN
    where no joint action can be implemented.
    """
    find = unique_payments if unique else least_payments
    price = find(state.utility_by_action, state.outcome_probs, nudge)
    payment, implementable = (each.reshape(len(state.reward), -1) for each in price)
    objective = state.principal_reward - alpha * (state.payment + payment).sum(axis=0)
    can_be = implementable.all(axis=0)
    worst = jnp.finfo(objective.dtype).min  # only for the argmax: it enters nobody's value
    joint = first_best(jnp.where(can_be, objective, worst))
    return JointChoice(joint, jnp.where(can_be.any(), payment[:, joint], jnp.nan))


def given(state: JointState, payment: jax.Array) -> JointChoice:
    """The only joint action that there is, paid `payment` `[N]`."""
    del state
    return JointChoice(jnp.int32(0), payment)


def respond(agent: jax.Array, state: JointState, payments: jax.Array) -> JointChoice:
    """What is best for `agent` `[]`, of the joint actions `[A]` that differ in its own action.

    It is paid `payments` `[N, A]` for it. The others' payments do not matter to it, and are 0.
    """
    utility = state.utility[agent] + payments[agent]
    best = jnp.argmax(utility)
    is_agent = jnp.arange(len(state.reward)) == agent
    return JointChoice(best, jnp.where(is_agent, payments[agent, best], 0))
