"""How many runs lie on the devices of all processes, and the program that takes them further."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxparl.types import PyTree


class Layout(NamedTuple):
    """How the axis R lies on the devices.

    Attributes:
      num_runs: R.
      rows: the number of the run in each row. Devices get equally many rows, in whole lanes: the
        last run is repeated, and its copies are dropped from what is recorded.
      place: the sharding of arrays `[rows, ...]`.
      lanes: runs of one device that are vmapped; the others wait for their turn. A run has the
        same bits whatever else runs beside it, as long as this number is the same.
    """

    num_runs: int
    rows: np.ndarray
    place: NamedSharding
    lanes: int

    @property
    def devices(self) -> int:
        """How many there are."""
        return self.place.mesh.size

    @property
    def turns(self) -> int:
        """How often a device has to begin."""
        return len(self.rows) // self.devices // self.lanes


class Chunk(NamedTuple):
    """A compiled `(state, chunk) -> (state, metrics)` of all rows; it consumes its state.

    Attributes:
      program: takes the runs whose turn it is through a chunk, and leaves the others as they are.
      blank: makes metrics of all rows, without numbers.
      enter: puts a turn's metrics there.
      turns: how often a device has to begin.
    """

    program: jax.stages.Compiled
    blank: jax.stages.Compiled
    enter: jax.stages.Compiled
    turns: int

    def __call__(self, state: PyTree, number: int) -> tuple[PyTree, PyTree]:
        """Takes the runs through chunk `number`."""
        metrics = self.blank()
        # A call each, as XLA's runtime on a CPU keeps memory for each product until a call ends.
        # None is waited for: a device that is done begins its next turn, whatever others do.
        for turn in range(self.turns):
            state, found = self.program(state, np.int32(number), np.int32(turn))
            metrics = self.enter(metrics, found, np.int32(turn))
        return state, metrics


def spread(num_runs: int, lanes: int | None = None) -> Layout:
    """Spreads runs over all devices, those of all processes.

    Args:
      num_runs: how many.
      lanes: by default all runs of a device, and one on a CPU, where a single run's weights fit
        into the cache and several do not.
    """
    devices = jax.devices()
    if jax.process_count() == 1:
        # A program for one device is optimised in another order than one for several, and if it
        # computes several runs side by side, its roundings are others: a run alone takes two then.
        devices = devices[: num_runs if lanes == 1 or lanes is None else max(2, num_runs)]
    per_device = math.ceil(num_runs / len(devices))
    if lanes is None:
        lanes = 1 if devices[0].platform == "cpu" else per_device
    per_device = math.ceil(per_device / lanes) * lanes
    rows = np.minimum(np.arange(per_device * len(devices)), num_runs - 1)
    mesh = Mesh(np.array(devices), ("runs",))
    return Layout(num_runs, rows, NamedSharding(mesh, PartitionSpec("runs")), lanes)


def rows_of(layout: Layout, one: PyTree) -> PyTree:
    """The shapes of all rows, `[rows, ...]`, of something of which `one` row has these shapes."""
    rows = len(layout.rows)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), one)


def compile_chunk(layout: Layout, one: Callable[..., Any], state: PyTree) -> Chunk:
    """Compiles `one(a run's state, chunk) -> (state, metrics)` for all runs.

    Of `state` only shapes and types count.
    """
    rows, lanes = len(layout.rows), layout.lanes
    by_run, shared = layout.place.spec, PartitionSpec()

    def side_by_side(states: PyTree, chunk: jax.Array) -> tuple[PyTree, PyTree]:
        if lanes > 1:
            return jax.vmap(one, (0, None))(states, chunk)  # over the lanes
        outcome = one(jax.tree.map(lambda leaf: leaf[0], states), chunk)
        alone: tuple[PyTree, PyTree] = jax.tree.map(lambda leaf: leaf[None], outcome)
        return alone

    def enter(kept: PyTree, mine: PyTree, turn: jax.Array) -> PyTree:
        first = turn * lanes
        return jax.tree.map(
            lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, first, 0), kept, mine
        )

    def take_turn(states: PyTree, chunk: jax.Array, turn: jax.Array) -> tuple[PyTree, PyTree]:
        first = turn * lanes
        mine = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, lanes), states)
        mine, metrics = side_by_side(mine, chunk)
        return enter(states, mine, turn), metrics

    def on_devices(of_one: Callable[..., Any], in_specs: tuple[PartitionSpec, ...]) -> Any:
        mapped = jax.shard_map(
            of_one, mesh=layout.place.mesh, in_specs=in_specs, out_specs=by_run, check_vma=False
        )
        return jax.jit(mapped, donate_argnums=0)

    def placed(tree: PyTree, rows: int) -> PyTree:
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (rows, *leaf.shape[1:]), leaf.dtype, sharding=layout.place
            ),
            tree,
        )

    number = np.int32(0)
    program = on_devices(take_turn, (by_run, shared, shared)).lower(
        placed(state, rows), number, number
    )
    found = program.out_info[1]
    metrics, of_turn = placed(found, rows), placed(found, layout.devices * lanes)
    blank = jax.jit(
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics),
        out_shardings=layout.place,
    )
    entered = on_devices(enter, (by_run, by_run, shared)).lower(metrics, of_turn, number)
    return Chunk(program.compile(), blank.lower().compile(), entered.compile(), layout.turns)


def fetch(layout: Layout, tree: PyTree) -> PyTree:
    """All runs' values, NumPy arrays `[R, ...]`, on every process; typed keys as numbers."""
    tree = numbers(tree)
    if jax.process_count() > 1:
        tree = multihost_utils.process_allgather(tree, tiled=True)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: layout.num_runs], tree)


def fetch_run(layout: Layout, tree: PyTree, number: int) -> PyTree:
    """One run's values, of arrays `[rows, ...]`, on every process."""
    everywhere = NamedSharding(layout.place.mesh, PartitionSpec())
    select = jax.jit(
        lambda tree: jax.tree.map(lambda leaf: leaf[number], tree), out_shardings=everywhere
    )
    # Each process has a copy of its own, which it may go on with alone.
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), select(tree))


def put(layout: Layout, like: PyTree, values: PyTree) -> PyTree:
    """The rows of NumPy arrays `[R or more, ...]` on the devices, with typed keys as in `like`."""

    def place(leaf: jax.Array, given: np.ndarray) -> jax.Array:
        rows = np.asarray(given)[layout.rows]
        placed = jax.make_array_from_callback(rows.shape, layout.place, rows.__getitem__)
        return jax.random.wrap_key_data(placed) if _is_key(leaf) else placed

    return jax.tree.map(place, like, values)


def numbers(tree: PyTree) -> PyTree:
    """The same with typed keys as the numbers that they are made of."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
