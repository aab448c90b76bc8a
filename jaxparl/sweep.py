"""Many runs at once: games x seeds in one compiled program, spread over the devices.

A run is a pure function of (config, game, seed). Its keys are folded from these numbers, never
split from a count, so a run does not depend on which others are trained beside it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from jaxparl import evaluation, lockstep, training
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.evaluation import Exact, Metrics
from jaxparl.run_state import RunState
from jaxparl.types import PyTree

# Games and runs take their keys from two roots, so that game 3 and run 3 share nothing.
_GAME_ROOT, _RUN_ROOT = 0, 1


class RunId(NamedTuple):
    """Which run: the number of its game, and its seed."""

    game: int
    seed: int


@struct.dataclass
class SweepState:
    """All runs, with a leading axis R: what they are given and what they have learned."""

    game_params: GameParams
    rates: Rates
    exact: Exact
    run: RunState


class Progress(NamedTuple):
    """What the host knows after a chunk.

    Attributes:
      chunk: chunks done.
      seconds: spent in them, compilation not included.
      metrics: of this chunk's evaluation, NumPy arrays `[R]`.
      state: all runs, `[R]` (padded to a multiple of the devices); the next chunk consumes it.
    """

    chunk: int
    seconds: float
    metrics: Any
    state: PyTree


class Sweep(NamedTuple):
    """A compiled sweep.

    Attributes:
      runs: the names of the runs, in the order of the axis R.
      state: all of them before the first iteration.
      chunk: the compiled `(state, chunk) -> (state, metrics [R])`; it consumes its state.
      compile_seconds: what compiling took.
    """

    runs: Sequence[tuple[Any, ...]]
    state: PyTree
    chunk: jax.stages.Compiled
    compile_seconds: float


def grid(games: Sequence[int], seeds: Sequence[int]) -> list[RunId]:
    """Every game with every seed, the seeds of a game side by side."""
    return [RunId(game, seed) for game in games for seed in seeds]


def draw_game(env: Game, game: ArrayLike) -> GameParams:
    """The params of game number `game`, `[]`."""
    return env.sample_params(jax.random.fold_in(jax.random.key(_GAME_ROOT), game))


def run_key(game: ArrayLike, seed: ArrayLike) -> jax.Array:
    """The key of a run."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(_RUN_ROOT), game), seed)


class Spread(NamedTuple):
    """How the axis R lies on the devices.

    Attributes:
      rows: the number of the run in each row. Devices get equally many rows: the last run is
        repeated, and its copies are dropped from the metrics.
      place: the sharding of arrays `[R, ...]`.
      lanes: runs of one device that are vmapped; the others wait for their turn.
    """

    rows: np.ndarray
    place: NamedSharding
    lanes: int


def spread(num_runs: int, lanes: int | None = None) -> Spread:
    """Spreads runs over all devices.

    Args:
      num_runs: how many.
      lanes: by default all runs of a device, and one on a CPU, where a single run's weights fit
        into the cache and several do not.
    """
    devices = jax.devices()[:num_runs]
    per_device = math.ceil(num_runs / len(devices))
    if lanes is None:
        lanes = 1 if devices[0].platform == "cpu" else per_device
    rows = np.minimum(np.arange(per_device * len(devices)), num_runs - 1)
    mesh = Mesh(np.array(devices), ("runs",))
    return Spread(rows, NamedSharding(mesh, PartitionSpec("runs")), lanes)


def compile_chunk(layout: Spread, one: Callable[..., Any], state: PyTree) -> jax.stages.Compiled:
    """Compiles `one(a run's state, chunk) -> (state, metrics)` for all runs; consumes its state."""

    def of_device(states: PyTree, chunk: jax.Array) -> PyTree:
        # over the runs of one device, `lanes` at a time
        batch = layout.lanes if layout.lanes > 1 else None
        return jax.lax.map(functools.partial(one, chunk=chunk), states, batch_size=batch)

    by_run, shared = layout.place.spec, PartitionSpec()
    of_all = jax.shard_map(
        of_device,
        mesh=layout.place.mesh,
        in_specs=(by_run, shared),
        out_specs=(by_run, by_run),
        check_vma=False,
    )
    return jax.jit(of_all, donate_argnums=0).lower(state, jnp.int32(0)).compile()


def compile_sweep(
    config: Config, env: Game, runs: Sequence[RunId], lanes: int | None = None
) -> Sweep:
    """Compiles the training of `runs` and sets them up.

    Args:
      config: of all runs; its rates are theirs.
      env: the game; each run draws its params by the number of its game.
      runs: which runs.
      lanes: see `spread`.
    """
    learner = lockstep.make_learner(config, env)
    layout = spread(len(runs), lanes)

    def init_run(game: jax.Array, seed: jax.Array) -> SweepState:
        game_params = draw_game(env, game)
        state = lockstep.init(learner, game_params, config.rates, run_key(game, seed))
        rates = jax.tree.map(jnp.float32, config.rates)
        return SweepState(game_params, rates, evaluation.solve(env, game_params, rates), state)

    def chunk_run(state: SweepState, chunk: jax.Array) -> tuple[SweepState, Metrics]:
        run, metrics = training.train_chunk(
            learner, state.game_params, state.rates, state.exact, state.run, chunk
        )
        return dataclasses.replace(state, run=run), metrics

    start = time.perf_counter()
    numbers = jnp.asarray(runs)[layout.rows]
    init = jax.jit(jax.vmap(init_run), out_shardings=layout.place)  # over R
    state = init(numbers[:, 0], numbers[:, 1])
    chunk = compile_chunk(layout, chunk_run, state)
    jax.block_until_ready(state)
    return Sweep(runs, state, chunk, time.perf_counter() - start)


def train(config: Config, sweep: Sweep) -> Iterator[Progress]:
    """Trains chunk by chunk, yielding after each; consumes the sweep's state."""
    state, seconds = sweep.state, 0.0
    for chunk in range(config.iterations // config.evaluation_interval):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(sweep.chunk(state, jnp.int32(chunk)))
        seconds += time.perf_counter() - start
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf)[: len(sweep.runs)], metrics)
        yield Progress(chunk + 1, seconds, metrics, state)
