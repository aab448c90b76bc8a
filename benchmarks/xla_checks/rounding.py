"""Rounding: what makes a run's bits depend on the runs beside it, or breaks exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.contracts.float_pairs import Pair, multiply
from jaxparl.learning import updates
from xla_checks import small_runs
from xla_checks.finding import Finding, counted
from xla_checks.small_runs import differing, trained_weights


def optimiser_count() -> Finding:
    """XLA-06: weights that differ between one lane and four, by where Adam counts its steps."""
    config, env = small_runs.TREE, small_runs.tree()
    alone = trained_weights(config, env, lanes=1)
    ours = trained_weights(config, env, lanes=4)
    with mock.patch.object(updates, "with_count", lambda state, iteration: state):
        plain = trained_weights(config, env, lanes=4)
    total = sum(leaf.size for leaf in alone)
    return counted(
        f"of {total:,} weights, different in four lanes and in one",
        with_it=differing(alone, ours),
        without=differing(alone, plain),
    )


def common_subexpressions() -> Finding:
    """XLA-08: weights that differ between one device and two, four lanes each, by XLA's passes."""
    config, env = small_runs.BOARD, small_runs.board()

    def between_devices() -> int:
        one, two = (trained_weights(config, env, lanes=4, devices=count) for count in (1, 2))
        return differing(one, two)

    ours = between_devices()
    # As on accelerators, for which no pass is left out.
    with mock.patch.object(jax, "default_backend", return_value="another"):
        plain = between_devices()
    what = "weights that differ between one device and two"
    return counted(what, with_it=ours, without=plain)


def fused_multiply_subtract() -> Finding:
    """XLA-13: whether `a * b - c` is rounded once, and what that makes of exact products."""
    a, b = jax.random.normal(jax.random.key(0), (2, 10_000))
    rounded, exact = np.asarray(a) * np.asarray(b), np.float64(a) * np.float64(b)
    # With two roundings a product minus itself is 0.
    fused = jax.jit(lambda a, b, c: a * b - c)(a, b, jnp.asarray(rounded))
    count = int(jnp.sum(fused != 0))

    def off(multiply: Callable[[Pair, Pair], Pair]) -> float:
        zero = jnp.zeros_like(a)
        found = jax.jit(multiply)(Pair(a, zero), Pair(b, zero))
        return float(np.max(np.abs((np.float64(found.hi) + np.float64(found.lo)) / exact - 1)))

    figures = (
        f"`a * b - c` is rounded once in {count:,} of 10,000 cases; exact products are off by "
        f"{off(multiply):.0e} at most, without by {off(_by_subtraction):.0e}"
    )
    return Finding(count > 0, figures)


def _by_subtraction(x: Pair, y: Pair) -> Pair:
    """Dekker's product of `x.hi` and `y.hi`, with his own split."""

    def split(a: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = a * 4097.0
        high = scaled - (scaled - a)
        return high, a - high

    (x_high, x_low), (y_high, y_low) = split(x.hi), split(y.hi)
    total = x.hi * y.hi
    return Pair(
        total, ((x_high * y_high - total) + x_high * y_low + x_low * y_high) + x_low * y_low
    )
