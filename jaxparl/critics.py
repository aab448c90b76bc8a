"""The two forms of the players' Q-functions: the paper's, per action, and ours, per outcome.

A critic says how a network's outputs become Q-values and what they are regressed on. The two
forms see the same transitions and the same contracts, and differ nowhere else.

Per action, a network has one output per action. Per outcome, it uses that the state moves by
the outcome alone, T(s, o): it predicts what each *outcome* leads to, and the outcome matrix
turns this into a value per action. The luck of the draw, the main source of error at the
incentive boundary, is then no longer in the targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl import td_targets


class AgentCritic(NamedTuple):
    """How an agent's truncated Q-values are represented and learned.

    Attributes:
      num_outputs: the width X of the network's output.
      q_truncated: `(outputs [X], outcome_probs [A, O], discount) -> [A]`.
      errors: `(outputs [X], action, outcome, reward, next_value, discount) -> [k]`, the
        differences that the loss squares and adds.
    """

    num_outputs: int
    q_truncated: Callable[..., jax.Array]
    errors: Callable[..., jax.Array]


class PrincipalCritic(NamedTuple):
    """How the principal's contractual Q-values are represented and learned.

    Attributes:
      num_outputs: the width X of the network's output.
      q_contractual: `(outputs [X], outcome_probs [A, O], expected_payment [A], alpha) -> [A]`.
      error: `(outputs [X], action, outcome, reward, payment, next_value, discount, alpha) ->
        []`, one agent's share; the loss squares the sum over agents (value decomposition).
    """

    num_outputs: int
    q_contractual: Callable[..., jax.Array]
    error: Callable[..., jax.Array]


def agent_per_action(num_actions: int, num_outcomes: int) -> AgentCritic:
    """The paper's: outputs are Q-bar(s, a), `[A]`."""
    del num_outcomes

    def q_truncated(outputs, outcome_probs, discount):
        del outcome_probs, discount
        return outputs

    def errors(outputs, action, outcome, reward, next_value, discount):
        del outcome
        return (outputs[action] - td_targets.agent_target(reward, next_value, discount))[None]

    return AgentCritic(num_actions, q_truncated, errors)


def agent_per_outcome(num_actions: int, num_outcomes: int) -> AgentCritic:
    """Ours: outputs are r(s, a), `[A]`, then the continuation U(s, o), `[O]`."""

    def q_truncated(outputs, outcome_probs, discount):
        return td_targets.truncated_q_from_outcomes(
            outputs[:num_actions], outputs[num_actions:], outcome_probs, discount
        )

    def errors(outputs, action, outcome, reward, next_value, discount):
        del discount
        return jnp.stack([outputs[action] - reward, outputs[num_actions + outcome] - next_value])

    return AgentCritic(num_actions + num_outcomes, q_truncated, errors)


def principal_per_action(num_actions: int, num_outcomes: int) -> PrincipalCritic:
    """The paper's: outputs are q(s, a), `[A]`, payments included."""
    del num_outcomes

    def q_contractual(outputs, outcome_probs, expected_payment, alpha):
        del outcome_probs, expected_payment, alpha
        return outputs

    def error(outputs, action, outcome, reward, payment, next_value, discount, alpha):
        del outcome
        target = td_targets.principal_target(reward, payment, next_value, discount, alpha)
        return outputs[action] - target

    return PrincipalCritic(num_actions, q_contractual, error)


def principal_per_outcome(num_actions: int, num_outcomes: int) -> PrincipalCritic:
    """Ours: outputs are W(s, o), `[O]`; the payment is computed, not learned."""
    del num_actions

    def q_contractual(outputs, outcome_probs, expected_payment, alpha):
        return td_targets.contractual_q_from_outcomes(
            outputs, outcome_probs, expected_payment, alpha
        )

    def error(outputs, action, outcome, reward, payment, next_value, discount, alpha):
        del action, payment, alpha
        return outputs[outcome] - td_targets.outcome_worth(reward, next_value, discount)

    return PrincipalCritic(num_outcomes, q_contractual, error)


AGENT_CRITICS = {"per_action": agent_per_action, "per_outcome": agent_per_outcome}
PRINCIPAL_CRITICS = {"per_action": principal_per_action, "per_outcome": principal_per_outcome}
