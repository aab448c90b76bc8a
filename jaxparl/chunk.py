"""The programs that take many runs from one evaluation to the next, compiled.

A chunk is made of stretches, see `loop`. A device whose runs are more than its lanes takes them in
turns, and every stretch of a turn is a call, of the same program: it is told which by numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxparl.layout import Layout
from jaxparl.types import PyTree

# To a program that runs once, for a moment, less time is given to be made faster.
FOR_ONCE: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}


class Chunk(NamedTuple):
    """A compiled `(state, number) -> (state, metrics)` of all rows; it consumes its state.

    Attributes:
      learn: takes the runs whose turn it is through a stretch, and leaves the others as they are.
      add: sums losses of stretches.
      evaluate: what those whose turn it is have learned.
      blank: makes metrics of all rows, without numbers.
      enter: puts a turn's metrics there.
      stretches: how many a chunk has.
      turns: how often a device has to begin.
    """

    learn: jax.stages.Compiled
    add: jax.stages.Compiled
    evaluate: jax.stages.Compiled
    blank: jax.stages.Compiled
    enter: jax.stages.Compiled
    stretches: int
    turns: int

    def __call__(self, state: PyTree, number: int) -> tuple[PyTree, PyTree]:
        """Takes the runs through chunk `number`."""
        metrics = self.blank()
        # Nothing is waited for: a device that is done begins its next turn, whatever others do.
        for turn in map(np.int32, range(self.turns)):
            first = number * self.stretches
            state, losses = self.learn(state, np.int32(first), turn)
            for stretch in range(first + 1, first + self.stretches):
                state, more = self.learn(state, np.int32(stretch), turn)
                losses = self.add(losses, more)
            metrics = self.enter(metrics, self.evaluate(state, losses, turn), turn)
        return state, metrics


def compile_chunk(
    layout: Layout,
    stretches: int,
    learn: Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]],
    evaluate: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    pool: Executor,
) -> Chunk:
    """Compiles what takes all runs from one evaluation to the next, and evaluates them.

    Args:
      layout: how the runs lie on the devices.
      stretches: how many there are between two evaluations.
      learn: `(state, stretch) -> (state, losses)` of one run.
      evaluate: `(state, mean losses) -> metrics` of one run.
      state: of all runs, `[rows, ...]`; only shapes and types count.
      pool: threads to compile in.
    """
    lanes = layout.lanes

    def learn_turn(states: PyTree, stretch: jax.Array, turn: jax.Array) -> tuple[PyTree, PyTree]:
        mine = _take(states, turn * lanes, lanes)
        learned, losses = _side_by_side(lambda run: learn(run, stretch), mine)
        return _put(states, learned, turn * lanes), losses

    def evaluate_turn(states: PyTree, losses: PyTree, turn: jax.Array) -> PyTree:
        means = jax.tree.map(lambda leaf: leaf / stretches, losses)
        return _side_by_side(evaluate, _take(states, turn * lanes, lanes), means)

    def enter_turn(metrics: PyTree, found: PyTree, turn: jax.Array) -> PyTree:
        return _put(metrics, found, turn * lanes)

    rows, of_turn = len(layout.rows), layout.devices * lanes
    states, number = _shapes(layout, state, rows), np.int32(0)
    learning = _lower(layout, learn_turn, (states, number, number), consumed=(0,))
    # For several devices, though not for one, XLA removes what is computed twice before it does
    # anything else. On a CPU several lanes would then round otherwise on one device.
    rounds_alike = jax.default_backend() != "cpu" or lanes == 1
    options: dict[str, str | bool] = {} if rounds_alike else {"xla_disable_hlo_passes": "cse"}
    learned = pool.submit(learning.compile, compiler_options=options)

    losses = _shapes(layout, learning.out_info[1], of_turn)
    adding = _lower(layout, partial(jax.tree.map, jnp.add), (losses, losses), consumed=(0,))
    evaluating = _lower(layout, evaluate_turn, (states, losses, number))
    evaluated = pool.submit(evaluating.compile)
    found, metrics = (_shapes(layout, evaluating.out_info, many) for many in (of_turn, rows))
    entering = _lower(layout, enter_turn, (metrics, found, number), consumed=(0,))
    blank = jax.jit(
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics),
        out_shardings=layout.place,
    )
    return Chunk(
        add=adding.compile(),
        blank=blank.lower().compile(),
        enter=entering.compile(),
        learn=learned.result(),
        evaluate=evaluated.result(),
        stretches=stretches,
        turns=layout.turns,
    )


def _side_by_side(one: Callable[..., PyTree], *of_runs: PyTree) -> PyTree:
    """`one` run's function, for all lanes `[lanes, ...]`."""
    if len(jax.tree.leaves(of_runs)[0]) > 1:
        return jax.vmap(one)(*of_runs)  # over the lanes
    alone = one(*jax.tree.map(lambda leaf: leaf[0], of_runs))
    return jax.tree.map(lambda leaf: leaf[None], alone)


def _take(kept: PyTree, first: jax.Array, count: int) -> PyTree:
    """So many rows, from the first one on."""
    take = partial(jax.lax.dynamic_slice_in_dim, allow_negative_indices=False)
    return jax.tree.map(lambda leaf: take(leaf, first, count), kept)


def _put(kept: PyTree, new: PyTree, first: jax.Array) -> PyTree:
    """The same, with new rows from the first one on."""
    put = partial(jax.lax.dynamic_update_slice_in_dim, allow_negative_indices=False)
    return jax.tree.map(lambda leaf, rows: put(leaf, rows, first, axis=0), kept, new)


def _shapes(layout: Layout, tree: PyTree, rows: int) -> PyTree:
    """The shapes of a tree `[any, ...]` with so many rows, spread over the devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            (rows, *leaf.shape[1:]), leaf.dtype, sharding=layout.place
        ),
        tree,
    )


def _lower(
    layout: Layout,
    of_device: Callable[..., Any],
    given: tuple[Any, ...],
    consumed: tuple[int, ...] = (),
) -> jax.stages.Lowered:
    """A device's function for all of them: each has its rows, and all are told the numbers."""
    specs = jax.tree.map(lambda leaf: layout.place.spec if leaf.shape else PartitionSpec(), given)
    of_all = jax.shard_map(
        of_device,
        mesh=layout.place.mesh,
        in_specs=specs,
        out_specs=layout.place.spec,
        check_vma=False,
    )
    return jax.jit(of_all, donate_argnums=consumed).lower(*given)
