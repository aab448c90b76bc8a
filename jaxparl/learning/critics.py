"""The two forms of the Q-functions: per action, as in the paper, and per outcome, which is ours.

A critic defines how a network's outputs become Q-values, and what they are regressed on. Both
forms see the same transitions and the same contracts. They differ in nothing else.

Per action, a network has one output for each action. Per outcome, it makes use of the fact that
the next state depends on the outcome alone, T(s, o): it predicts what each *outcome* leads to, and
the outcome matrix turns this into a value for each action. Which outcome happens to be drawn is
then no longer noise in the targets. This noise is the main source of error at the incentive
boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.learning import td_targets


class AgentCritic(NamedTuple):
    """How an agent's Q-values are represented and learned.

    Attributes:
      num_outputs: the width X of the network's output.
      q_values: `(outputs [X], outcome_probs [A, O]) -> [A]`.
      errors: `(outputs [X], action, outcome, reward, next_value) -> [k]`, the differences from
        the targets. The loss is a sum over them.
    """

    num_outputs: int
    q_values: Callable[..., jax.Array]
    errors: Callable[..., jax.Array]


class PrincipalCritic(NamedTuple):
    """How the principal's contractual Q-values are represented and learned.

    Attributes:
      num_outputs: the width X of the network's output.
      q_contractual: `(outputs [X], outcome_probs [A, O], expected_payment [A]) -> [A]`.
      error: `(outputs [X], *, action, outcome, reward, payment, next_value) -> []`, one agent's
        part of the error. The loss is of the sum over agents (value decomposition).
    """

    num_outputs: int
    q_contractual: Callable[..., jax.Array]
    error: Callable[..., jax.Array]


def agent_per_action(num_actions: int, num_outcomes: int, gamma: ArrayLike) -> AgentCritic:
    """The paper's form: outputs are Q-bar(s, a), `[A]`.

    Examples:
      >>> critic = agent_per_action(num_actions=2, num_outcomes=3, gamma=0.5)
      >>> outputs = jnp.array([0.5, -1.0])
      >>> print(critic.errors(outputs, action=1, outcome=2, reward=-0.5, next_value=3.0))
      [-2.]
    """
    del num_outcomes

    def q_values(outputs, outcome_probs):
        del outcome_probs
        return outputs

    def errors(outputs, action, outcome, reward, next_value):
        del outcome
        return (outputs[action] - td_targets.agent_target(reward, next_value, gamma))[None]

    return AgentCritic(num_actions, q_values, errors)


def agent_per_outcome(num_actions: int, num_outcomes: int, gamma: ArrayLike) -> AgentCritic:
    """Our form: outputs are r(s, a), `[A]`, followed by the continuation U(s, o), `[O]`.

    Examples:
      >>> critic = agent_per_outcome(num_actions=2, num_outcomes=3, gamma=0.5)
      >>> outputs = jnp.array([0.0, -1.0, 1.0, 2.0, 3.0])
      >>> print(critic.errors(outputs, action=1, outcome=2, reward=-0.5, next_value=3.0))
      [-0.5  0. ]
    """

    def q_values(outputs, outcome_probs):
        return td_targets.truncated_q_from_outcomes(
            outputs[:num_actions], outputs[num_actions:], outcome_probs, gamma
        )

    def errors(outputs, action, outcome, reward, next_value):
        return jnp.stack([outputs[action] - reward, outputs[num_actions + outcome] - next_value])

    return AgentCritic(num_actions + num_outcomes, q_values, errors)


def principal_per_action(
    num_actions: int, num_outcomes: int, gamma: ArrayLike, alpha: ArrayLike
) -> PrincipalCritic:
    """The paper's form: outputs are q(s, a), `[A]`, payments included."""
    del num_outcomes

    def q_contractual(outputs, outcome_probs, expected_payment):
        del outcome_probs, expected_payment
        return outputs

    def error(outputs, *, action, outcome, reward, payment, next_value):
        del outcome
        target = td_targets.principal_target(reward, payment, next_value, gamma, alpha)
        return outputs[action] - target

    return PrincipalCritic(num_actions, q_contractual, error)


def principal_per_outcome(
    num_actions: int, num_outcomes: int, gamma: ArrayLike, alpha: ArrayLike
) -> PrincipalCritic:
    """Our form: outputs are W(s, o), `[O]`. The payment is computed, not learned."""
    del num_actions

    def q_contractual(outputs, outcome_probs, expected_payment):
        return td_targets.contractual_q_from_outcomes(
            outputs, outcome_probs, expected_payment, alpha
        )

    def error(outputs, *, action, outcome, reward, payment, next_value):
        del action, payment
        return outputs[outcome] - td_targets.outcome_worth(reward, next_value, gamma)

    return PrincipalCritic(num_outcomes, q_contractual, error)


AGENT_CRITICS = {"per_action": agent_per_action, "per_outcome": agent_per_outcome}
PRINCIPAL_CRITICS = {"per_action": principal_per_action, "per_outcome": principal_per_outcome}
