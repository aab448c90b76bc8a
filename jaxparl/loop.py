"""The loop of training and of validation: iterations, target copies, evaluations, nested scans.

Targets are copied after every inner scan rather than by a condition on a counter, which under
`vmap` over runs would turn into a select over all the weights in every iteration.

From one evaluation to the next is a chunk. It is compiled as stretches, each a call of the same
program, and an evaluation: a call of any length would do on accelerators, but XLA's runtime on a
CPU keeps some 25 to 50 kB for every iteration until a call ends.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxparl.config import Config
from jaxparl.types import PyTree

Step = Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]]


def learn(
    config: Config,
    iterate: Step,
    move_targets: Callable[[PyTree, jax.Array], PyTree],
    state: PyTree,
    stretch: jax.Array | int,
) -> tuple[PyTree, PyTree]:
    """Takes a run through a stretch; the losses are means over it.

    Args:
      config: how long a stretch is, and how often targets are moved.
      iterate: `(state, iteration) -> (state, losses)`.
      move_targets: `(state, the last iteration) -> state`.
      state: of one run.
      stretch: `[]` int, how many stretches came before this one. It is shared by all runs, and
        everything that depends on progress is computed from it.
    """

    def period(state: PyTree, first: jax.Array) -> tuple[PyTree, PyTree]:
        iterations = first + jnp.arange(config.target_interval)
        state, losses = jax.lax.scan(iterate, state, iterations)
        return move_targets(state, iterations[-1]), losses

    periods = jnp.arange(config.stretch // config.target_interval)
    starts = jnp.asarray(stretch) * config.stretch + config.target_interval * periods
    state, losses = jax.lax.scan(period, state, jnp.asarray(starts))
    return state, jax.tree.map(jnp.mean, losses)


def chunk(
    config: Config,
    learn: Step,
    evaluate: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    number: jax.Array | int,
) -> tuple[PyTree, PyTree]:
    """Takes a run through chunk `number` in one go; returns the state and what was evaluated.

    Args:
      config: how many stretches there are in a chunk.
      learn: `(state, stretch) -> (state, losses)`.
      evaluate: `(state, mean losses) -> metrics`.
      state: of one run.
      number: `[]` int, how many chunks came before this one.
    """
    stretches = jnp.asarray(number) * config.stretches + jnp.arange(config.stretches)
    state, losses = jax.lax.scan(learn, state, stretches)
    return state, evaluate(state, jax.tree.map(jnp.mean, losses))
