"""Actions that an agent does not have in a state: nobody plays, recommends or pays for them.

Every function takes `available` `[..., A]` bool, or None where everything is available, and then
returns what it was given.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def only_available(q: jax.Array, available: jax.Array | None, nudge: ArrayLike = 0.0) -> jax.Array:
    """Q-values `[..., A]` in which what is not available is worse than all else.

    It is worse by more than the nudge, so that no contract is higher because of it. It is no
    infinity, which contracts could not compute with.

    Examples:
      >>> q, available = jnp.array([1.0, 3.0, 2.0]), jnp.array([True, False, True])
      >>> only_available(q, available).tolist()
      [1.0, -1.0, 2.0]
    """
    if available is None:
        return q
    least = jnp.min(jnp.where(available, q, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(available, q, least - (1 + nudge + jnp.abs(least)))


def only_available_outcomes(outcome_probs: jax.Array, available: jax.Array | None) -> jax.Array:
    """Probabilities `[..., A, O]` in which what is not available leads to what something else does.

    A contract then implements an action if it is better than all that are available.
    """
    if available is None:
        return outcome_probs
    first = jnp.argmax(available, axis=-1)[..., None, None]
    instead = jnp.take_along_axis(outcome_probs, first, axis=-2)
    return jnp.where(available[..., None], outcome_probs, instead)


def random_action(which: jax.Array, num_actions: int, available: jax.Array | None) -> jax.Array:
    """`[...]`, an action for a number from 0 to 1 `[...]`, all that are available being as likely.

    Examples:
      >>> available = jnp.array([True, False, True])
      >>> [int(random_action(which, 3, available)) for which in jnp.array([0.1, 0.4, 0.6])]
      [0, 0, 2]
    """
    if available is None:
        return jnp.floor(which * num_actions)
    rank = jnp.floor(which * jnp.sum(available, axis=-1))
    return jnp.argmax(available & (jnp.cumsum(available, axis=-1) > rank[..., None]), axis=-1)
