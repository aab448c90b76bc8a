"""The two forms of the Q-functions: the paper's, per action, and ours, per outcome.

A critic says how a network's outputs become Q-values and what they are regressed on. The two
forms see the same transitions and the same contracts, and differ nowhere else.

Per action, a network has one output per action. Per outcome, it uses that the state moves by
the outcome alone, T(s, o): it predicts what each *outcome* leads to, and the outcome matrix
turns this into a value per action. Which outcome happened to be drawn, the main source of error
at the incentive boundary, is then no longer in the targets.
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
      errors: `(outputs [X], action, outcome, reward, next_value) -> [k]`, the differences that
        the loss squares and adds.
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
        share; the loss squares the sum over agents (value decomposition).
    """

    num_outputs: int
    q_contractual: Callable[..., jax.Array]
    error: Callable[..., jax.Array]


def agent_per_action(num_actions: int, num_outcomes: int, gamma: ArrayLike) -> AgentCritic:
    """The paper's: outputs are Q-bar(s, a), `[A]`."""
    del num_outcomes

    def q_values(outputs, outcome_probs):
        del outcome_probs
        return outputs

    def errors(outputs, action, outcome, reward, next_value):
        del outcome
        return (outputs[action] - td_targets.agent_target(reward, next_value, gamma))[None]

    return AgentCritic(num_actions, q_values, errors)


def agent_per_outcome(num_actions: int, num_outcomes: int, gamma: ArrayLike) -> AgentCritic:
    """Ours: outputs are r(s, a), `[A]`, then the continuation U(s, o), `[O]`."""

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
    """The paper's: outputs are q(s, a), `[A]`, payments included."""
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
    """Ours: outputs are W(s, o), `[O]`; the payment is computed, not learned."""
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
