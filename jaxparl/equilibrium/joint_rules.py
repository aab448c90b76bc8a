"""What N agents do in one state of a `JointGame`, given what follows each joint action.

A rule takes a `JointState` and, where it plays given policies, that state's rows of their tables.
It returns a `JointChoice`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.contracts.joint_payments import (
    Nudge,
    deviation_gains,
    least_payments,
    unique_payments,
)
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


class JointMix(NamedTuple):
    """What happens in one state where agents randomise.

    Attributes:
      probs: `[J]`, how likely each joint action is.
      payment: `[N]`, what they are paid in this step, in expectation.
    """

    probs: jax.Array
    payment: jax.Array


#: (one state, rows of further tables) -> what happens.
Rule = Callable[..., JointChoice | JointMix]


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
    state: JointState,
    alpha: ArrayLike,
    nudge: ArrayLike = 0.0,
    nudge_scale: ArrayLike = 0.0,
    *,
    unique: bool = False,
) -> JointChoice:
    """The principal's best joint action, at the least payments that make all follow.

    It costs the principal `alpha` `[]` a unit. Following is an equilibrium at the payments of
    `least_payments`, given what follows. With `unique` payments are those of `unique_payments`:
    with any more than these it is the only equilibrium of this state, given what follows. They are
    NaN where no joint action can be implemented.
    """
    find = unique_payments if unique else least_payments
    utility = state.utility_by_action
    worth = state.principal_reward - alpha * state.payment.sum(axis=0)
    margins = Nudge(nudge, nudge_scale, worth.reshape(utility.shape[1:]))
    price = find(utility, state.outcome_probs, margins)
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


def logit(
    state: JointState, action: jax.Array, payments: jax.Array, temperature: ArrayLike
) -> JointMix:
    """Agents that err, and believe that the others do as asked.

    An agent takes `a` with probability proportional to exp(q(a) / temperature), where q(a) is what
    `a` brings it while the others do `action` `[N]`: the better an action is, the likelier it is.
    Agents err independently. At temperature 0 each takes its best action, and does as asked on
    ties; at any other all that ties is as likely.

    It is one step of reasoning, and no equilibrium: nobody expects the others to err in this step.
    So it is defined at every temperature. What follows is what it is, with the errors of all.

    They are paid `payments` `[N, A]`.
    """
    q = _value_if_others_follow(state, action) + payments
    is_hot = jnp.asarray(temperature) > 0
    lead = q - jnp.max(q, axis=-1, keepdims=True)
    erring = jax.nn.softmax(lead / jnp.where(is_hot, temperature, 1), axis=-1)
    best = jax.nn.one_hot(_best_reply(q, action), state.num_actions, dtype=q.dtype)
    probs = jnp.where(is_hot, erring, best)
    joint = functools.reduce(jnp.multiply.outer, list(probs)).ravel()
    return JointMix(joint, jnp.sum(probs * payments, axis=-1))


def worst(
    state: JointState,
    action: jax.Array,
    payments: jax.Array,
    slack: ArrayLike,
    alpha: ArrayLike,
) -> JointChoice:
    """What is worst for the principal, if each agent's action is within `slack` of its best one.

    An agent's actions are compared while the others do `action` `[N]`, and by what follows them,
    which is the worst again. With a slack of 0 each takes the best one, and does as asked on ties;
    with any other, ties break against the principal, whose objective is its rewards less `alpha`
    times the payments, `payments` `[N, A]` in this step.
    """
    q = _value_if_others_follow(state, action) + payments
    reply, is_exact = _best_reply(q, action), jnp.asarray(slack) <= 0
    is_reply = jnp.arange(state.num_actions) == reply[:, None]
    may = jnp.where(is_exact, is_reply, q >= jnp.max(q, axis=-1, keepdims=True) - slack)
    allowed = functools.reduce(jnp.logical_and.outer, list(may)).ravel()
    paid = functools.reduce(jnp.add.outer, list(payments)).ravel()
    objective = state.principal_reward - alpha * (state.payment.sum(axis=0) + paid)
    joint = jnp.argmin(jnp.where(allowed, objective, jnp.inf))
    each = jnp.unravel_index(joint, (state.num_actions,) * len(q))
    return JointChoice(joint, payments[jnp.arange(len(q)), jnp.stack(each)])


def deviations(action: jax.Array, num_actions: int) -> jax.Array:
    """`[N, A]`, what happens if one agent does anything, and the others do `action` `[N]`.

    They are joint actions, by their places on the axis J.

    Examples:
      >>> deviations(jnp.array([1, 0]), num_actions=2).tolist()
      [[0, 2], [2, 3]]
    """
    action = action.astype(jnp.int32)  # which may be stored as a small one
    strides = num_actions ** jnp.arange(len(action))[::-1]
    instead = jnp.arange(num_actions)[None] - action[:, None]
    return jnp.sum(action * strides) + instead * strides[:, None]


def _value_if_others_follow(state: JointState, action: jax.Array) -> jax.Array:
    """`[N, A]`, what each action brings an agent while the others do `action` `[N]`."""
    joint = deviations(action, state.num_actions)
    return jnp.take_along_axis(state.utility, joint, axis=-1)


def _best_reply(q: jax.Array, action: jax.Array) -> jax.Array:
    """`[N]`, the best actions by their values `[N, A]`; on ties with `action` `[N]` that one."""
    asked = jnp.take_along_axis(q, action.astype(jnp.int32)[:, None], axis=-1)[:, 0]
    return jnp.where(ties(asked, jnp.max(q, axis=-1)), action, jnp.argmax(q, axis=-1))


def against(
    state: JointState, payments: jax.Array, weight: ArrayLike, alpha: ArrayLike
) -> JointChoice:
    """What one agent does for whom the principal's loss counts 1 - weight, and its own gain weight.

    It is paid `payments` `[1, A]`. The objective is that of `worst`.
    """
    own = state.utility[0] + payments[0]
    objective = state.principal_reward - alpha * (state.payment[0] + payments[0])
    joint = jnp.argmin((1 - weight) * objective - weight * own)
    return JointChoice(joint, payments[:, joint])
