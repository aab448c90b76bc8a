"""How many runs lie on the devices of all processes."""

from __future__ import annotations

import math
from typing import NamedTuple

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


def spread(num_runs: int, lanes: int | None = None) -> Layout:
    """Spreads runs over all devices, those of all processes.

    Args:
      num_runs: how many.
      lanes: by default all runs of a device, and one on a CPU, where a single run's weights fit
        into the cache and several do not.
    """
    devices = jax.devices()
    if jax.process_count() == 1:
        devices = devices[:num_runs]
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
