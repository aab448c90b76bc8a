"""The compiled programs that take many runs from one evaluation to the next.

An evaluation interval consists of segments, see `learning.loop`. A device that has more runs than
lanes computes them in waves. Each segment of each wave is a call of the same program, which is
told by numbers which one it is.
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

from jaxparl.training.devices import DeviceLayout
from jaxparl.types import PyTree


class IntervalProgram(NamedTuple):
    """A compiled `(runs, number) -> (runs, metrics)` of all rows; it consumes its runs.

    Attributes:
      learn: takes the runs of a wave through a segment, and leaves the others as they are.
      add: sums losses of segments.
      evaluate: what the runs of a wave have learned.
      blank: makes metrics of all rows, without numbers.
      enter: writes a wave's metrics into them.
      segments: how many an evaluation interval has.
      waves: how many waves each device computes.
    """

    learn: jax.stages.Compiled
    add: jax.stages.Compiled
    evaluate: jax.stages.Compiled
    blank: jax.stages.Compiled
    enter: jax.stages.Compiled
    segments: int
    waves: int

    def __call__(self, runs: PyTree, number: int) -> tuple[PyTree, PyTree]:
        """Takes all runs through evaluation interval `number`.

        Raises:
          FloatingPointError: a loss is NaN, and JAX is told to check for that.
        """
        is_checked = jax.config.values["jax_debug_nans"]
        # Contexts and metrics are NaN where they are undefined: only losses are checked.
        with jax.debug_nans(False):
            metrics = self.blank()
            # Calls return at once: a device that is done begins its next wave, whatever others do.
            for wave in map(np.int32, range(self.waves)):
                first = number * self.segments
                runs, losses = self.learn(runs, np.int32(first), wave)
                for segment in range(first + 1, first + self.segments):
                    runs, more = self.learn(runs, np.int32(segment), wave)
                    losses = self.add(losses, more)
                metrics = self.enter(metrics, self.evaluate(runs, losses, wave), wave)
                if is_checked and _has_nan(losses):
                    raise FloatingPointError(f"a loss is NaN in evaluation interval {number + 1}")
        return runs, metrics


def _has_nan(tree: PyTree) -> bool:
    """Whether an array of this process holds NaN."""
    shards = [shard for leaf in jax.tree.leaves(tree) for shard in leaf.addressable_shards]
    return any(np.isnan(np.asarray(shard.data)).any() for shard in shards)


def compile_interval(
    layout: DeviceLayout,
    segments: int,
    *,
    learn: Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]],
    evaluate: Callable[[PyTree, PyTree], PyTree],
    runs: PyTree,
    pool: Executor,
) -> IntervalProgram:
    """Compiles what takes all runs from one evaluation to the next, and evaluates them.

    Args:
      layout: how the runs are laid out on the devices.
      segments: how many there are between two evaluations.
      learn: `(run, segment) -> (run, losses)` of one run.
      evaluate: `(run, mean losses) -> metrics` of one run.
      runs: of all runs, `[rows, ...]`; only shapes and types count.
      pool: threads to compile in.
    """
    lanes, rows = layout.lanes, len(layout.rows)
    rows_of_wave, number = layout.devices * lanes, np.int32(0)
    runs = _shapes(layout, runs, rows)
    wave = _WaveFunctions(lanes, segments, learn, evaluate)

    learning = _lower(layout, wave.learn, (runs, number, number), consumed=(0,))
    # XLA-08, see docs/xla.md.
    # For several devices, though not for one, XLA removes what is computed twice before it does
    # anything else. On a CPU several lanes would then round otherwise on one device.
    rounds_alike = jax.default_backend() != "cpu" or lanes == 1
    options: dict[str, str | bool] = {} if rounds_alike else {"xla_disable_hlo_passes": "cse"}
    learned = pool.submit(learning.compile, compiler_options=options)

    losses = _shapes(layout, learning.out_info[1], rows_of_wave)
    adding = _lower(layout, partial(jax.tree.map, jnp.add), (losses, losses), consumed=(0,))
    evaluating = _lower(layout, wave.evaluate, (runs, losses, number))
    evaluated = pool.submit(evaluating.compile)
    found = _shapes(layout, evaluating.out_info, rows_of_wave)
    metrics = _shapes(layout, evaluating.out_info, rows)
    entering = _lower(layout, wave.enter, (metrics, found, number), consumed=(0,))
    blank = jax.jit(
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics),
        out_shardings=layout.sharding,
    )
    return IntervalProgram(
        add=adding.compile(),
        blank=blank.lower().compile(),
        enter=entering.compile(),
        learn=learned.result(),
        evaluate=evaluated.result(),
        segments=segments,
        waves=layout.waves,
    )


class _WaveFunctions(NamedTuple):
    """What one device does with the runs of one wave, out of all runs that it holds."""

    lanes: int
    segments: int
    learn_one: Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]]
    evaluate_one: Callable[[PyTree, PyTree], PyTree]

    def learn(self, runs: PyTree, segment: jax.Array, wave: jax.Array) -> tuple[PyTree, PyTree]:
        """Takes the runs of the wave through a segment; returns their losses, too."""
        mine = _take(runs, wave * self.lanes, self.lanes)
        learned, losses = _side_by_side(lambda run: self.learn_one(run, segment), mine)
        return _put(runs, learned, wave * self.lanes), losses

    def evaluate(self, runs: PyTree, losses: PyTree, wave: jax.Array) -> PyTree:
        """What the runs of the wave have learned, given the sum of their losses."""
        means = jax.tree.map(lambda leaf: leaf / self.segments, losses)
        return _side_by_side(self.evaluate_one, _take(runs, wave * self.lanes, self.lanes), means)

    def enter(self, metrics: PyTree, found: PyTree, wave: jax.Array) -> PyTree:
        """Writes the metrics of the wave into those of all runs."""
        return _put(metrics, found, wave * self.lanes)


def _side_by_side(one: Callable[..., PyTree], *of_runs: PyTree) -> PyTree:
    """`one` run's function, for all lanes `[lanes, ...]`."""
    if len(jax.tree.leaves(of_runs)[0]) > 1:
        return jax.vmap(one)(*of_runs)  # over the lanes
    alone = one(*jax.tree.map(lambda leaf: leaf[0], of_runs))
    return jax.tree.map(lambda leaf: leaf[None], alone)


def _take(held: PyTree, first: jax.Array, count: int) -> PyTree:
    """`count` rows, from the first one on."""
    take = partial(jax.lax.dynamic_slice_in_dim, allow_negative_indices=False)
    return jax.tree.map(lambda leaf: take(leaf, first, count), held)


def _put(held: PyTree, new: PyTree, first: jax.Array) -> PyTree:
    """The same, with new rows from the first one on."""
    put = partial(jax.lax.dynamic_update_slice_in_dim, allow_negative_indices=False)
    return jax.tree.map(lambda leaf, rows: put(leaf, rows, first, axis=0), held, new)


def _shapes(layout: DeviceLayout, tree: PyTree, rows: int) -> PyTree:
    """The shapes of a tree `[any, ...]` with so many rows, spread over the devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            (rows, *leaf.shape[1:]), leaf.dtype, sharding=layout.sharding
        ),
        tree,
    )


def _lower(
    layout: DeviceLayout,
    of_device: Callable[..., Any],
    given: tuple[Any, ...],
    consumed: tuple[int, ...] = (),
) -> jax.stages.Lowered:
    """A device's function for all of them: each has its rows, and all are told the numbers."""
    spec = layout.sharding.spec
    of_all = jax.shard_map(
        of_device,
        mesh=layout.sharding.mesh,
        in_specs=jax.tree.map(lambda leaf: spec if leaf.shape else PartitionSpec(), given),
        out_specs=spec,
        check_vma=False,
    )
    return jax.jit(of_all, donate_argnums=consumed).lower(*given)
