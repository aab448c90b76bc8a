"""Reductions: the place of a minimum, running sums."""

from __future__ import annotations

import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.contracts import dual_simplex, minimal_contract
from xla_checks.finding import Finding, both, counted, faster, seconds_in_turns

_CONTRACTS = 2048


def _by_argmin(x: jax.Array) -> jax.Array:
    return jnp.arange(x.shape[0]) == jnp.argmin(x)


def _prices(size: int):
    """A compiled program that prices many contracts; `() -> payments`."""
    key_q, key_probs = jax.random.split(jax.random.key(0))
    q = jax.random.normal(key_q, (_CONTRACTS, size))
    probs = jax.random.dirichlet(key_probs, jnp.ones(size), (_CONTRACTS, size))
    price = jax.vmap(lambda q, probs: minimal_contract(q, probs, 0).payments)
    program = jax.jit(price).lower(q, probs).compile()
    return lambda: program(q, probs)


def first_minimum() -> Finding:
    """XLA-12: contracts of 4 x 4 and 10 x 10, by two reductions and by `argmin`."""

    def compare(size: int) -> Finding:
        ours = _prices(size)
        with mock.patch.object(dual_simplex, "first_minimum", _by_argmin):
            plain = _prices(size)
        with_it, without = seconds_in_turns(ours, plain)
        return faster(f"{_CONTRACTS:,} contracts {size}x{size}", with_it=with_it, without=without)

    return both(compare(4), compare(10))


def running_sums() -> Finding:
    """XLA-16: running sums of weights that fall, added one after the other and by `cumsum`."""
    weights = jax.random.uniform(jax.random.key(0), (200, 1000)) ** 8

    def falls(sums: jax.Array) -> int:
        return int(np.sum(np.diff(np.asarray(sums), axis=1) < 0))

    ours = jnp.stack(list(itertools.accumulate(weights[:, :100].T)), axis=1)
    plain = jax.jit(lambda weights: jnp.cumsum(weights, axis=1))(weights)
    return counted("running sums that fall", with_it=falls(ours), without=falls(plain))
