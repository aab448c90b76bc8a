"""The learning equations, one function each, for one agent and one transition.

The notation is that of section 4 of the paper. A stored step is (s, a, r, r_p, o, s'), b*(s, a) is
the least-payment contract for action a, and a' is the principal's recommendation in s'. Q-bar is
the agent's truncated Q-value, without this step's payment; q is the principal's contractual one.
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
      `[]`, the bracket in the agent's update of Algorithm 2.

    Examples:
      >>> agent_next_value(q_truncated=-0.25, expected_payment=0.75)
      0.5
    """
    return expected_payment + q_truncated


def agent_target(reward: jax.Array, next_value: jax.Array, gamma: ArrayLike) -> jax.Array:
    """The target of Q-bar(s, a): r + gamma V(s') (Algorithm 2).

    Args:
      reward: `[]`, r, payments not included.
      next_value: `[]`, `agent_next_value`; 0 where the game has ended.
      gamma: `[]`, the discount factor.

    Examples:
      >>> agent_target(reward=-1.0, next_value=0.5, gamma=0.5)
      -0.75
    """
    return reward + gamma * next_value


def principal_target(
    reward: jax.Array,
    payment: jax.Array,
    next_value: jax.Array,
    gamma: ArrayLike,
    alpha: ArrayLike,
) -> jax.Array:
    """The target of q(s, a): r_p - alpha b*(s, a)(o) + gamma q(s', a') (Algorithm 2).

    Args:
      reward: `[]`, r_p.
      payment: `[]`, what the contract pays for the outcome that was drawn.
      next_value: `[]`, the target network's q(s', a'); 0 where the game has ended.
      gamma: `[]`, the discount factor.
      alpha: `[]`, the weight of payments in the principal's objective.

    Examples:
      >>> principal_target(reward=2.0, payment=1.0, next_value=4.0, gamma=0.5, alpha=0.5)
      3.5
    """
    return reward - alpha * payment + gamma * next_value


def outcome_worth(reward: jax.Array, next_value: jax.Array, gamma: ArrayLike) -> jax.Array:
    """The target of what an outcome is worth to the principal, W(s, o): r_p + gamma q(s', a').

    Args:
      reward: `[]`, r_p(s, o).
      next_value: `[]`, the target network's q(s', a'); 0 where the game has ended.
      gamma: `[]`, the discount factor.

    Examples:
      >>> outcome_worth(reward=2.0, next_value=4.0, gamma=0.5)
      4.0
    """
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
      continuation: `[O]`, U(s, o), what the agent expects after outcome o.
      outcome_probs: `[A, O]`, O(s, a)(o).
      gamma: `[]`, the discount factor.

    Returns:
      `[A]`.

    Examples:
      >>> import jax.numpy as jnp
      >>> outcome_probs = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> rewards, continuation = jnp.array([-0.5, 0.0]), jnp.array([4.0, 0.0])
      >>> print(truncated_q_from_outcomes(rewards, continuation, outcome_probs, gamma=0.5))
      [1.  0.5]
    """
    return action_reward + gamma * (outcome_probs @ continuation)


def contractual_q_from_outcomes(
    worth: jax.Array,
    outcome_probs: jax.Array,
    expected_payment: jax.Array,
    alpha: ArrayLike,
) -> jax.Array:
    """q(s, a) = sum_o O(s, a)(o) W(s, o) - alpha E b*(s, a).

    Only W is learned; the payments are computed.

    Args:
      worth: `[O]`, W(s, o) = r_p(s, o) + gamma q(s', a'), what an outcome is worth.
      outcome_probs: `[A, O]`, O(s, a)(o).
      expected_payment: `[A]`, of the least-payment contract for each action.
      alpha: `[]`, the weight of payments in the principal's objective.

    Returns:
      `[A]`.

    Examples:
      >>> import jax.numpy as jnp
      >>> outcome_probs = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> worth, payments = jnp.array([2.0, 0.0]), jnp.array([0.75, 0.0])
      >>> print(contractual_q_from_outcomes(worth, outcome_probs, payments, alpha=1.0))
      [0.75 0.5 ]
    """
    return outcome_probs @ worth - alpha * expected_payment
