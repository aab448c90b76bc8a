"""Rounding: what makes a run's bits depend on the runs beside it, or breaks exact arithmetic."""

from __future__ import annotations

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

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
    """XLA-13: how many of `a * b - fl(a * b)` are not 0, as two roundings would make them."""
    a, b = jax.random.normal(jax.random.key(0), (2, 10_000))
    product = np.asarray(a) * np.asarray(b)
    fused = jax.jit(lambda a, b, c: a * b - c)(a, b, jnp.asarray(product))
    what = "of 10,000 products, subtracted from themselves, not 0"
    return counted(what, with_it=0, without=int(jnp.sum(fused != 0)))
