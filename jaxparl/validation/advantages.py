"""What was gathered in a rollout, and how much better than expected every action was."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.types import PyTree

# How far an advantage looks ahead: between one step (0) and the whole episode (1).
_LAMBDA = 0.95


@struct.dataclass
class Steps:
    """Steps of all environments, `[T, E]`.

    Attributes:
      env_state: the state before the step.
      action: `[N]` int.
      log_prob: `[N]`, of this action by the policy that took it.
      reward: `[N]`, everything that the agents received.
      next_env_state: the state after the step, before any reset.
      continues: `[]`, 0 where the game ended, else 1. A time limit does not end it.
      ends: `[]` bool, whether the episode ended, by a time limit or otherwise.
      weight: `[N]`, 0 for agents that do not learn from the step.
    """

    env_state: PyTree
    action: jax.Array
    log_prob: jax.Array
    reward: jax.Array
    next_env_state: PyTree
    continues: jax.Array
    ends: jax.Array
    weight: jax.Array


@struct.dataclass
class Rollout:
    """What gradient steps draw from, `[T x E]`.

    Attributes:
      env_state: the states.
      action: `[N]`, what was done.
      log_prob: `[N]`, of it.
      advantage: `[N]`, by how much it was better than expected, standardised.
      value: `[N]`, what the state turned out to be worth.
      weight: `[N]`.
    """

    env_state: PyTree
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    value: jax.Array
    weight: jax.Array


def weigh(steps: Steps, now: jax.Array, ahead: jax.Array, gamma: ArrayLike) -> Rollout:
    """What steps were worth, by generalised advantages (Schulman et al. 2016).

    Args:
      steps: `[T, E]`.
      now: `[T, E, N]`, what agents expected before each step.
      ahead: `[T, E, N]`, what they expect after it, where the game goes on.
      gamma: `[]`, the discount.

    Examples:
      Two steps, which bring 1 where nothing was expected; the time limit comes after the second:

      >>> each = jnp.zeros((2, 1, 1))
      >>> steps = Steps(
      ...     env_state=(),
      ...     action=each,
      ...     log_prob=each,
      ...     reward=each + 1,
      ...     next_env_state=(),
      ...     continues=jnp.ones((2, 1)),
      ...     ends=jnp.array([[False], [True]]),
      ...     weight=each + 1,
      ... )
      >>> print(weigh(steps, each, each, gamma=1.0).value[:, 0])
      [1.95 1.  ]
    """
    surprise = steps.reward + gamma * steps.continues[..., None] * ahead - now

    def back(later: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        surprise, ends = step
        found = surprise + gamma * _LAMBDA * jnp.where(ends[:, None], 0, later)
        return found, found

    end = jnp.zeros_like(surprise[0])
    advantage = jax.lax.scan(back, end, (surprise, steps.ends), reverse=True)[1]
    better = advantage - weighted_mean(advantage, steps.weight)
    spread = jnp.sqrt(weighted_mean(jnp.square(better), steps.weight))
    by_step = Rollout(
        env_state=steps.env_state,
        action=steps.action,
        log_prob=steps.log_prob,
        advantage=better / (spread + 1e-8),
        value=now + advantage,
        weight=steps.weight,
    )
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), by_step)


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean `[]` of values, each of which counts as its weight says; 0 where none counts.

    Examples:
      >>> print(weighted_mean(jnp.array([1.0, 3.0, 8.0]), jnp.array([1.0, 1.0, 0.0])))
      2.0
    """
    return jnp.sum(weight * values) / jnp.maximum(jnp.sum(weight), 1)
