"""How many runs lie on the devices of all processes, and the program that takes them further."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxparl.types import PyTree

# To a program that runs once, for a moment, less time is given to be made faster.
FOR_ONCE: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}


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


def compile_chunk(
    layout: Layout,
    stretches: int,
    learn: Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]],
    evaluate: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
) -> Chunk:
    """Compiles what takes all runs from one evaluation to the next, and evaluates them.

    Args:
      layout: how the runs lie on the devices.
      stretches: how many there are between two evaluations, see `loop`.
      learn: `(state, stretch) -> (state, losses)` of one run.
      evaluate: `(state, mean losses) -> metrics` of one run.
      state: of all runs, `[rows, ...]`; only shapes and types count.
    """
    lanes = layout.lanes

    def side_by_side(one: Callable[..., PyTree], *of_run: PyTree) -> PyTree:
        if lanes > 1:
            return jax.vmap(one)(*of_run)  # over the lanes
        alone = one(*jax.tree.map(lambda leaf: leaf[0], of_run))
        return jax.tree.map(lambda leaf: leaf[None], alone)

    def mine(states: PyTree, turn: jax.Array) -> PyTree:
        slice_rows = partial(jax.lax.dynamic_slice_in_dim, allow_negative_indices=False)
        return jax.tree.map(lambda leaf: slice_rows(leaf, turn * lanes, lanes), states)

    def enter(kept: PyTree, new: PyTree, turn: jax.Array) -> PyTree:
        put_rows = partial(jax.lax.dynamic_update_slice_in_dim, allow_negative_indices=False)
        return jax.tree.map(lambda old, new: put_rows(old, new, turn * lanes, axis=0), kept, new)

    def learn_turn(states: PyTree, stretch: jax.Array, turn: jax.Array) -> tuple[PyTree, PyTree]:
        learned, losses = side_by_side(lambda run: learn(run, stretch), mine(states, turn))
        return enter(states, learned, turn), losses

    def evaluate_turn(states: PyTree, losses: PyTree, turn: jax.Array) -> PyTree:
        means = jax.tree.map(lambda leaf: leaf / stretches, losses)
        return side_by_side(evaluate, mine(states, turn), means)

    def lower(of_device: Callable[..., Any], consumed: tuple[int, ...], *given: Any) -> Any:
        """Of all devices: what has rows is given and returned device by device."""
        by_row = jax.tree.map(
            lambda leaf: layout.place.spec if leaf.shape else PartitionSpec(), given
        )
        mapped = jax.shard_map(
            of_device,
            mesh=layout.place.mesh,
            in_specs=by_row,
            out_specs=layout.place.spec,
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=consumed).lower(*given)

    def placed(tree: PyTree, rows: int) -> PyTree:
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (rows, *leaf.shape[1:]), leaf.dtype, sharding=layout.place
            ),
            tree,
        )

    rows, of_turn = len(layout.rows), layout.devices * lanes
    states, turn = placed(state, rows), np.int32(0)
    learning = lower(learn_turn, (0,), states, turn, turn)
    losses = placed(learning.out_info[1], of_turn)
    adding = lower(partial(jax.tree.map, jnp.add), (0,), losses, losses)
    evaluating = lower(evaluate_turn, (), states, losses, turn)
    found = evaluating.out_info
    metrics = placed(found, rows)
    blank = jax.jit(
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics),
        out_shardings=layout.place,
    )
    entering = lower(enter, (0,), metrics, placed(found, of_turn), turn)
    # For several devices, though not for one, XLA removes what is computed twice before it does
    # anything else. On a CPU several lanes would then round otherwise on one device.
    rounds_alike = jax.default_backend() != "cpu" or lanes == 1
    options: dict[str, str | bool] = {} if rounds_alike else {"xla_disable_hlo_passes": "cse"}
    return Chunk(
        learn=learning.compile(compiler_options=options),
        add=adding.compile(),
        evaluate=evaluating.compile(),
        blank=blank.lower().compile(),
        enter=entering.compile(),
        stretches=stretches,
        turns=layout.turns,
    )


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
