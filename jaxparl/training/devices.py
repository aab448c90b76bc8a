"""How runs are assigned to the devices of all processes, and how their arrays travel."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxparl.types import KEY_IMPL, PyTree


class DeviceLayout(NamedTuple):
    """How the axis R is laid out on the devices.

    Attributes:
      num_runs: R.
      rows: the number of the run in each row. Devices have equally many rows, in whole lanes: the
        last run is repeated, and its copies are dropped from what is recorded.
      sharding: of arrays `[rows, ...]`.
      lanes: runs of one device that are computed side by side, by `vmap`. A device with more runs
        computes them in waves. A run has the same bits whatever else runs beside it, as long as
        this number is the same.
    """

    num_runs: int
    rows: np.ndarray
    sharding: NamedSharding
    lanes: int

    @property
    def devices(self) -> int:
        """How many devices share the runs."""
        return self.sharding.mesh.size

    @property
    def waves(self) -> int:
        """How many groups of lanes each device computes, one after the other."""
        return len(self.rows) // self.devices // self.lanes


def assign_runs(num_runs: int, lanes: int | None = None) -> DeviceLayout:
    """Assigns runs to all devices, those of all processes.

    Args:
      num_runs: how many.
      lanes: by default all runs of a device; on a CPU one, because the weights of a single run
        fit into the cache and those of several do not.

    Examples:
      >>> layout = assign_runs(3)
      >>> layout.num_runs, len(layout.rows) >= 3
      (3, True)
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
    return DeviceLayout(num_runs, rows, NamedSharding(mesh, PartitionSpec("runs")), lanes)


def rows_of(layout: DeviceLayout, one: PyTree) -> PyTree:
    """The shapes of all rows, `[rows, ...]`, of something of which `one` row has these shapes."""
    rows = len(layout.rows)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), one)


def fetch(layout: DeviceLayout, tree: PyTree) -> PyTree:
    """All runs' values, NumPy arrays `[R, ...]`, on every process; typed keys as numbers."""
    tree = key_data(tree)
    if jax.process_count() > 1:
        with jax.debug_nans(False):  # what is undefined is NaN
            tree = multihost_utils.process_allgather(tree, tiled=True)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: layout.num_runs], tree)


def fetch_run(layout: DeviceLayout, tree: PyTree, number: int) -> PyTree:
    """One run's values, of arrays `[rows, ...]`, on every process."""
    everywhere = NamedSharding(layout.sharding.mesh, PartitionSpec())
    select = jax.jit(
        lambda tree: jax.tree.map(lambda leaf: leaf[number], tree), out_shardings=everywhere
    )
    with jax.debug_nans(False):  # what is undefined is NaN
        selected = select(tree)
    # Each process has a copy of its own, which it can use alone.
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), selected)


def to_devices(layout: DeviceLayout, like: PyTree, values: PyTree) -> PyTree:
    """Puts the rows of NumPy arrays `[R or more, ...]` on the devices; typed keys as in `like`."""

    def put(leaf: jax.Array, given: np.ndarray) -> jax.Array:
        rows = np.asarray(given)[layout.rows]
        placed = jax.make_array_from_callback(rows.shape, layout.sharding, rows.__getitem__)
        return jax.random.wrap_key_data(placed, impl=KEY_IMPL) if _is_key(leaf) else placed

    return jax.tree.map(put, like, values)


def key_data(tree: PyTree) -> PyTree:
    """The same with typed keys as the numbers that they consist of."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
