"""The learning equations, one function each, for one agent and one transition.

Notation of the paper (section 4): a stored step is (s, a, r, r_p, o, s'); b*(s, a) is the
least-payment contract for action a; a' is the principal's recommendation in s'; Q-bar is the
agent's truncated Q-value (without this step's payment), q the principal's contractual one.
"""

from __future__ import annotations

import jax
from jax.typing import ArrayLike


def agent_next_value(q_truncated: jax.Array, expected_payment: jax.Array) -> jax.Array:
    """What s' is worth to the agent: E_{o' ~ O(s', a')} b*(s', a')(o') + Q-bar(s', a').

    Args:
      q_truncated: `[]`, the target network's Q-bar(s', a').
      expected_payment: `[]`, of the contract offered in s'.

    Returns:
      `[]`, the bracket of the agent's update in Algorithm 2.
    """
    return expected_payment + q_truncated


def agent_target(reward: jax.Array, next_value: jax.Array, gamma: ArrayLike) -> jax.Array:
    """Regresses Q-bar(s, a) on r + gamma V(s') (Algorithm 2)."""
    return reward + gamma * next_value


def principal_target(
    reward: jax.Array,
    payment: jax.Array,
    next_value: jax.Array,
    gamma: ArrayLike,
    alpha: ArrayLike,
) -> jax.Array:
    """Regresses q(s, a) on r_p - alpha b*(s, a)(o) + gamma q(s', a') (Algorithm 2).

    Args:
      reward: `[]`, r_p.
      payment: `[]`, what the contract pays for the outcome that came out.
      next_value: `[]`, the target network's q(s', a'); 0 where the game has ended.
      gamma: `[]`, the discount factor.
      alpha: `[]`, the weight of payments in the principal's objective.
    """
    return reward - alpha * payment + gamma * next_value


def outcome_worth(reward: jax.Array, next_value: jax.Array, gamma: ArrayLike) -> jax.Array:
    """Regresses the principal's worth of an outcome, W(s, o), on r_p + gamma q(s', a')."""
    return reward + gamma * next_value


def truncated_q_from_outcomes(
    action_reward: jax.Array,
    continuation: jax.Array,
    outcome_probs: jax.Array,
    gamma: ArrayLike,
) -> jax.Array:
    """Q-bar(s, a) = r(s, a) + gamma sum_o O(s, a)(o) U(s, o).

    Args:
      action_reward: `[A]`, r(s, a).
      continuation: `[O]`, U(s, o), what the agent expects once o has come out.
      outcome_probs: `[A, O]`.
      gamma: `[]`, the discount factor.

    Returns:
      `[A]`.
    """
    return action_reward + gamma * (outcome_probs @ continuation)


def contractual_q_from_outcomes(
    worth: jax.Array,
    outcome_probs: jax.Array,
    expected_payment: jax.Array,
    alpha: ArrayLike,
) -> jax.Array:
    """q(s, a) = sum_o O(s, a)(o) W(s, o) - alpha E b*(s, a): the payment is not learned.

    Args:
      worth: `[O]`, W(s, o) = r_p(s, o) + gamma q(s', a'), what an outcome is worth.
      outcome_probs: `[A, O]`.
      expected_payment: `[A]`, of the least-payment contract for each action.
      alpha: `[]`.

    Returns:
      `[A]`.
    """
    return outcome_probs @ worth - alpha * expected_payment
