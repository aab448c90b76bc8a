"""Estimates from D episodes that are played independently: a mean or a ratio, and its error.

The error is a standard error. Where numbers are shown, 1.96 of them to either side are a 95%
interval. Ratios are of means, and their errors are those of the delta method: to first order a
ratio R of means differs from its true value by the mean of (part - R whole) / mean whole.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.numbers import ratio

# One episode in so many says which of several means is the largest.
_CHOOSING = 4


class Estimate(NamedTuple):
    """An estimate, `[]` each.

    Attributes:
      value: NaN where it is undefined.
      error: its standard error, over episodes.
    """

    value: jax.Array
    error: jax.Array


def estimate_mean(values: jax.Array) -> Estimate:
    """The mean of `[D]` values.

    Examples:
      >>> estimate_mean(jnp.array([1.0, 3.0]))
      Estimate(value=Array(2., dtype=float32), error=Array(1., dtype=float32))
    """
    return Estimate(jnp.mean(values), _standard_error(values))


def estimate_ratio(parts: jax.Array, wholes: jax.Array) -> Estimate:
    """The mean of `[D]` parts over that of `[D]` wholes; NaN where that is not positive.

    Examples:
      >>> wholes = jnp.array([1.0, 3.0])
      >>> half, undefined = estimate_ratio(wholes / 2, wholes), estimate_ratio(wholes, -wholes)
      >>> print(half.value, half.error, undefined.value)
      0.5 0.0 nan
    """
    return estimate_mean_ratio(parts[:, None], wholes[:, None])


def estimate_mean_ratio(parts: jax.Array, wholes: jax.Array) -> Estimate:
    """The mean over agents of such ratios, of `[D, N]` parts and wholes.

    Examples:
      >>> wholes = jnp.array([[1.0, 2.0], [3.0, 2.0]])
      >>> print(estimate_mean_ratio(wholes * jnp.array([0.5, 1.5]), wholes).value)
      1.0
    """
    ratios = ratio(jnp.mean(parts, axis=0), jnp.mean(wholes, axis=0))
    off = ratio(parts - ratios * wholes, jnp.mean(wholes, axis=0)[None])
    return Estimate(jnp.mean(ratios), _standard_error(jnp.mean(off, axis=1)))


def estimate_largest(values: jax.Array) -> Estimate:
    """The largest of N means, of values `[D, N]`; on average no larger than it is.

    The largest of several means that are uncertain is too large, as it is the luckiest. So a
    quarter of the episodes says whose is the largest, and the others how large it is.

    Examples:
      >>> values = jnp.array([[1.0, 2.0], [1.0, 3.0], [1.0, 4.0], [9.0, 5.0]])
      >>> print(estimate_largest(values).value)
      4.0
    """
    few = len(values) // _CHOOSING
    return estimate_mean(values[few:, jnp.argmax(jnp.mean(values[:few], axis=0))])


def _standard_error(values: jax.Array) -> jax.Array:
    """Of the mean of `[D]` values."""
    return jnp.std(values, ddof=1) / jnp.sqrt(jnp.asarray(len(values), values.dtype))
