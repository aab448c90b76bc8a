"""Replay: what is written in place, and what is copied."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp

from jaxparl.learning import loop, ring
from xla_checks import small_runs
from xla_checks.finding import Finding, counted

# So large that no other array has this size.
_CAPACITY = 20_000


def _plain_write(array: jax.Array, new: jax.Array, *start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice(array, new, (*start, *[0] * (array.ndim - len(start))))


def _copied_arrays() -> int:
    """How many arrays of replay the program of one run with one environment copies."""
    config = dataclasses.replace(small_runs.BOARD, num_envs=1, replay_capacity=_CAPACITY)
    learns, state = small_runs.one_run(config, small_runs.board())
    learn = partial(loop.run_segment, config, learns.iterate, learns.move_targets)
    compiled = jax.jit(learn, donate_argnums=0).lower(state, jnp.int32(0)).compile()
    return len(re.findall(rf"\[{_CAPACITY}[\d,]*\]\S* copy\(", compiled.as_text()))


def single_write() -> Finding:
    """XLA-03: whole arrays that are copied where one environment's step is stored."""
    ours = _copied_arrays()
    with mock.patch.object(ring, "write", _plain_write):
        plain = _copied_arrays()
    return counted("copies of whole arrays of replay", with_it=ours, without=plain)


def shared_counter() -> Finding:
    """XLA-04: scatters where several runs store steps, by a shared counter and by their own."""
    stored, new = jnp.zeros((4, 800)), jnp.ones((4, 8))

    def scatters(axis: int | None, counter: jax.Array) -> int:
        add = jax.jit(jax.vmap(ring.add, (0, 0, axis)))
        return add.lower(stored, new, counter).compile().as_text().count(" scatter(")

    ours, plain = scatters(None, jnp.int32(3)), scatters(0, jnp.full(4, 3))
    return counted("scatters for a write of four runs", with_it=ours, without=plain)
