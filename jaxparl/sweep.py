"""Many runs at once: games x seeds x settings in one compiled program, spread over the devices.

A run is a pure function of (config, game, seed) and its own rates. Its keys are folded from these
numbers, never split from a count, so a run does not depend on which others are trained beside it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import struct
from jax.typing import ArrayLike

from jaxparl import evaluation, lockstep, training
from jaxparl.chunk import FOR_ONCE, Chunk, compile_chunk
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.evaluation import Exact, Metrics
from jaxparl.layout import Layout, fetch, rows_of, spread
from jaxparl.run_state import Losses, RunState
from jaxparl.runs import AnyRun, RunId, rates_of
from jaxparl.types import PyTree

# Games and runs take their keys from two roots, so that game 3 and run 3 share nothing.
_GAME_ROOT, _RUN_ROOT = 0, 1


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


def draw_game(env: Game, game: ArrayLike) -> GameParams:
    """The params of game number `game`, `[]`."""
    return env.sample_params(jax.random.fold_in(jax.random.key(_GAME_ROOT), game))


def run_key(game: ArrayLike, seed: ArrayLike) -> jax.Array:
    """The key of a run."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(_RUN_ROOT), game), seed)


class Sweep(NamedTuple):
    """A compiled sweep, which has no state yet.

    Attributes:
      runs: the runs, in the order of the axis R.
      layout: how that axis lies on the devices.
      shapes: what a state of all runs consists of, `[rows, ...]` each.
      start: computes the state before the first iteration.
      chunk: takes all runs through a chunk; it consumes its state.
      compile_seconds: what compiling took.
    """

    runs: Sequence[AnyRun]
    layout: Layout
    shapes: PyTree
    start: Callable[[], PyTree]
    chunk: Chunk
    compile_seconds: float


def compile_sweep(
    config: Config, env: Game, runs: Sequence[RunId], lanes: int | None = None
) -> Sweep:
    """Compiles the training of `runs`, and computes nothing yet.

    Args:
      config: of all runs; its rates are theirs where a run has none of its own.
      env: the game; each run draws its params by the number of its game.
      runs: which runs.
      lanes: see `spread`.

    Raises:
      ValueError: a run's own rate is out of its range.
    """
    began = time.perf_counter()
    learner, layout = lockstep.make_learner(config, env), spread(len(runs), lanes)

    def draw_and_solve(game: jax.Array, rates: Rates) -> tuple[GameParams, Exact]:
        game_params = draw_game(env, game)
        return game_params, evaluation.solve(env, game_params, rates)

    def init_run(
        game: jax.Array, seed: jax.Array, rates: Rates, solved: tuple[GameParams, Exact]
    ) -> SweepState:
        game_params, exact = solved
        state = lockstep.init(learner, game_params, rates, run_key(game, seed))
        return SweepState(game_params, rates, exact, state)

    def learn(state: SweepState, stretch: jax.Array) -> tuple[SweepState, Losses]:
        run, losses = training.learn(learner, state.game_params, state.rates, state.run, stretch)
        return dataclasses.replace(state, run=run), losses

    def evaluate(state: SweepState, losses: Losses) -> Metrics:
        return evaluation.evaluate(
            learner, state.game_params, state.rates, state.run, state.exact, losses
        )

    games = np.array([run.game for run in runs], np.int32)
    seeds = np.array([run.seed for run in runs], np.int32)
    rates = rates_of(config.rates, runs)
    given = select_run((games, seeds, rates), layout.rows)
    # XLA writes most of a program's kernels one after the other, so each has a thread, and is
    # compiled while the next one is still being traced.
    with ThreadPoolExecutor() as pool:
        solving = jax.jit(draw_and_solve).lower(games[0], select_run(rates, 0))
        solved = pool.submit(solving.compile)
        setting_up = jax.jit(jax.vmap(init_run), out_shardings=layout.place).lower(  # over R
            *given, rows_of(layout, solving.out_info)
        )
        set_up = pool.submit(setting_up.compile, compiler_options=FOR_ONCE)
        shapes = setting_up.out_info
        chunk = compile_chunk(layout, config.stretches, learn, evaluate, shapes, pool)
        solve, init = solved.result(), set_up.result()

    def start() -> SweepState:
        # A game is solved once, however many runs it has.
        found: dict[tuple[Any, ...], Any] = {}
        for number, run in enumerate(runs):
            if (run.game, run.rates) not in found:
                solved = solve(games[number], select_run(rates, number))
                found[run.game, run.rates] = jax.device_get(solved)
        each = [found[run.game, run.rates] for run in runs]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
        state: SweepState = init(*given, select_run(stacked, layout.rows))
        return state

    seconds = time.perf_counter() - began
    return Sweep(runs, layout, shapes, start, chunk, seconds)


def train(
    config: Config, sweep: Sweep, state: PyTree, done: int = 0, seconds: float = 0.0
) -> Iterator[Progress]:
    """Trains chunk by chunk, yielding after each.

    Args:
      config: what the sweep was compiled for.
      sweep: the compiled sweep.
      state: where all runs stand, as `sweep.start()` or an earlier process has left them; it is
        consumed.
      done: chunks that they have behind them.
      seconds: spent in those.
    """
    for chunk in range(done, config.iterations // config.evaluation_interval):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(sweep.chunk(state, chunk))
        seconds += time.perf_counter() - start
        yield Progress(chunk + 1, seconds, fetch(sweep.layout, metrics), state)


def select_run(tree: PyTree, number: ArrayLike) -> PyTree:
    """One run of a tree of arrays `[R, ...]`: of states, weights, metrics or rates."""
    return jax.tree.map(lambda leaf: leaf[number], tree)
