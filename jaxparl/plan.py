"""What a sweep will need, before it is run: bytes per run, how many fit, and how long it takes."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl.chunk import Chunk
from jaxparl.comparison import compile_comparison, entrants
from jaxparl.config import Config
from jaxparl.environment import Game
from jaxparl.layout import spread
from jaxparl.lockstep import init, make_learner
from jaxparl.run_state import Weights, target_weights
from jaxparl.runs import RunId
from jaxparl.sweep import Sweep, compile_sweep
from jaxparl.types import PyTree

# Iterations that are timed, at least; what part of the memory a sweep may fill.
_TIMED = 200
_USABLE = 0.9


class Needs(NamedTuple):
    """What one phase of a sweep needs: its training, or its validation.

    Attributes:
      devices: that share the runs.
      lanes: runs of a device that are computed side by side; in validation, of runs under one
        scheme each.
      bytes_per_run: by XLA's own account; in validation, under all schemes.
      bytes_besides: of a device, however many runs it has.
      most_runs: that fit on all devices together.
      compile_seconds: of a program like the sweep's.
      setup_seconds: in which games are solved and states made.
      seconds: that it will take after that; NaN where the runs do not fit.
    """

    devices: int
    lanes: int
    bytes_per_run: float
    bytes_besides: float
    most_runs: int
    compile_seconds: float
    setup_seconds: float
    seconds: float


class Plan(NamedTuple):
    """What is known of a sweep before it is run.

    Attributes:
      runs: asked for.
      bytes_per_device: that there are.
      training: what training needs.
      validation: what validation needs, if there is one.
    """

    runs: int
    bytes_per_device: float
    training: Needs
    validation: Needs | None

    @property
    def most_runs(self) -> int:
        """That fit on all devices together, in every phase."""
        return min(needs.most_runs for needs in (self.training, self.validation) if needs)


def plan(
    config: Config,
    env: Game,
    runs: Sequence[RunId],
    lanes: int | None = None,
    validate: bool = False,
) -> Plan:
    """Compiles small versions of a sweep's programs, and times them; records nothing.

    Args:
      config: of the sweep.
      env: the game.
      runs: which runs.
      lanes: see `layout.spread`.
      validate: whether the principals are to be validated.

    Raises:
      ValueError: the game cannot be validated, see `validation.make_validator`.
    """

    def training(config: Config, runs: Sequence[RunId]) -> Sweep:
        return compile_sweep(config, env, runs, lanes)

    def validation(config: Config, runs: Sequence[RunId]) -> Sweep:
        # Whatever the weights are, the programs are the same and take as long.
        return compile_comparison(config, env, runs, _blank_weights(config, env, runs), lanes)

    def games(runs: Sequence[RunId]) -> int:
        return len({(run.game, run.rates) for run in runs})

    return Plan(
        runs=len(runs),
        bytes_per_device=_memory(),
        training=_needs(training, config, runs, lanes, 1, games),
        validation=_needs(validation, config, runs, lanes, len(entrants(runs[:1])), len)
        if validate
        else None,
    )


def _needs(
    compile_runs: Callable[[Config, Sequence[RunId]], Sweep],
    config: Config,
    runs: Sequence[RunId],
    lanes: int | None,
    rows_per_run: int,
    setups: Callable[[Sequence[RunId]], int],
) -> Needs:
    """Where a device's runs take turns, one turn works on a copy beside what all of them hold.

    Its time is that of one turn, times how many there are; two are compiled, as one that has all
    runs would need no copy. Where all are computed side by side, that is done as it was asked for.
    Setting up goes through as many games or principals as `setups` says.
    """
    layout = spread(rows_per_run * len(runs), lanes)
    takes_turns = spread(2 * rows_per_run * len(runs), lanes).lanes == layout.lanes
    turn = jax.device_count() * layout.lanes
    few = math.ceil(2 * turn / rows_per_run) if takes_turns else len(runs)
    some = [runs[number % len(runs)] for number in range(few)]
    short = _cut(config)
    compiled = compile_runs(short, some)
    bytes_per_row, besides = _bytes(compiled, takes_turns)
    most = layout.devices * math.floor((_USABLE * _memory() - besides) / bytes_per_row)
    needs = Needs(
        devices=layout.devices,
        lanes=layout.lanes,
        bytes_per_run=rows_per_run * bytes_per_row,
        bytes_besides=besides,
        most_runs=max(0, most) // rows_per_run,
        compile_seconds=compiled.compile_seconds,
        setup_seconds=math.nan,
        seconds=math.nan,
    )
    if needs.most_runs < few:
        return needs
    start = time.perf_counter()
    state = jax.block_until_ready(compiled.start())
    setup = time.perf_counter() - start
    learning, evaluating = _seconds_of_turn(compiled.chunk, state)
    evaluations = config.iterations // config.evaluation_interval
    turns = layout.turns if takes_turns else 1
    return needs._replace(
        setup_seconds=setup * setups(runs) / setups(some),
        seconds=turns
        * (config.iterations / short.iterations * learning + evaluations * evaluating),
    )


def _cut(config: Config) -> Config:
    """The same with a single chunk of a single stretch, as long as is timed."""
    whole = math.ceil(_TIMED / config.target_interval) * config.target_interval
    return dataclasses.replace(config, iterations=whole, evaluation_interval=whole)


def _blank_weights(config: Config, env: Game, runs: Sequence[RunId]) -> Weights:
    """Weights of principals, `[R, ...]`, that have learned nothing."""
    learner = make_learner(config, env)
    fresh = partial(init, learner, env.default_params, config.rates)
    shapes = jax.eval_shape(lambda key: target_weights(fresh(key)), jax.random.key(0))
    blank: Weights = jax.tree.map(
        lambda leaf: np.zeros((len(runs), *leaf.shape), leaf.dtype), shapes
    )
    return blank


def _bytes(compiled: Sweep, takes_turns: bool) -> tuple[float, float]:
    """What a row holds on a device while the programs run, and what it holds besides."""
    learn: Any = compiled.chunk.learn.memory_analysis()
    evaluate: Any = compiled.chunk.evaluate.memory_analysis()
    shared = learn.alias_size_in_bytes  # of outputs that lie where their inputs lay
    rows = len(compiled.layout.rows) // compiled.layout.devices
    held = learn.argument_size_in_bytes + learn.output_size_in_bytes - shared
    besides = max(
        learn.temp_size_in_bytes, evaluate.temp_size_in_bytes + evaluate.output_size_in_bytes
    )
    if takes_turns:
        return held / rows, float(besides)
    return (held + besides) / rows, 0.0


def _memory() -> float:
    """The bytes of a device; of a CPU, its part of those that are free."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return float(stats["bytes_limit"])
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float(free / jax.local_device_count())


def _seconds_of_turn(chunk: Chunk, state: PyTree) -> tuple[float, float]:
    """What a stretch and an evaluation take of those whose turn is first, code and data warm."""
    number = np.int32(0)
    state, losses = jax.block_until_ready(chunk.learn(state, number, number))
    jax.block_until_ready(chunk.evaluate(state, losses, number))
    start = time.perf_counter()
    state, losses = jax.block_until_ready(chunk.learn(state, number, number))
    learned = time.perf_counter()
    jax.block_until_ready(chunk.evaluate(state, losses, number))
    return learned - start, time.perf_counter() - learned
