"""The loop of training and of validation: iterations, target periods, evaluations, nested scans.

Targets move after every inner scan, a *target period*, rather than by a condition on a counter,
which under `vmap` over runs would turn into a select over all the weights in every iteration.

Several target periods make a *segment*, and several segments an *evaluation interval*. A segment
is one call of a compiled program. A call of any length would do on accelerators, but XLA's runtime
on a CPU keeps some 25 to 50 kB for every iteration until a call ends.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxparl.config import Config
from jaxparl.types import PyTree

Step = Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]]


def run_segment(
    config: Config,
    iterate: Step,
    move_targets: Callable[[PyTree, jax.Array], PyTree],
    state: PyTree,
    segment: jax.Array | int,
) -> tuple[PyTree, PyTree]:
    """Takes a run through a segment; the losses are means over it.

    Args:
      config: how long a segment is, and how often targets are moved.
      iterate: `(state, iteration) -> (state, losses)`.
      move_targets: `(state, the last iteration) -> state`.
      state: of one run.
      segment: `[]` int, how many segments came before this one. It is shared by all runs, and
        everything that depends on progress is computed from it.

    Examples:
      >>> config = Config(iterations=400, target_interval=100, evaluation_interval=200)
      >>> count, losses = run_segment(
      ...     config,
      ...     iterate=lambda count, iteration: (count + 1, jnp.float32(iteration)),
      ...     move_targets=lambda count, last: count,
      ...     state=jnp.int32(0),
      ...     segment=1,
      ... )
      >>> int(count), float(losses)  # iterations 200 to 399
      (200, 299.5)
    """

    def run_period(state: PyTree, first: jax.Array) -> tuple[PyTree, PyTree]:
        iterations = first + jnp.arange(config.target_interval)
        state, losses = jax.lax.scan(iterate, state, iterations)
        # XLA-05, see docs/xla.md.
        return move_targets(state, iterations[-1]), losses

    periods = jnp.arange(config.segment_length // config.target_interval)
    starts = jnp.asarray(segment) * config.segment_length + config.target_interval * periods
    state, losses = jax.lax.scan(run_period, state, jnp.asarray(starts))
    return state, jax.tree.map(jnp.mean, losses)


def run_interval(
    config: Config,
    learn: Step,
    evaluate: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    number: jax.Array | int,
) -> tuple[PyTree, PyTree]:
    """Takes a run through evaluation interval `number`; returns the state and its metrics.

    Args:
      config: how many segments there are in an evaluation interval.
      learn: `(state, segment) -> (state, losses)`.
      evaluate: `(state, mean losses) -> metrics`.
      state: of one run.
      number: `[]` int, how many evaluation intervals came before this one.
    """
    count = config.segments_per_evaluation
    segments = jnp.asarray(number) * count + jnp.arange(count)
    state, losses = jax.lax.scan(learn, state, segments)
    return state, evaluate(state, jax.tree.map(jnp.mean, losses))
