"""What a sweep will need, before it is run: bytes per run, how many fit, and how long it takes."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights, target_weights
from jaxparl.training.comparison import compile_validation, validation_runs
from jaxparl.training.devices import assign_runs
from jaxparl.training.programs import IntervalProgram
from jaxparl.training.runs import RunId
from jaxparl.training.sweep import CompiledRuns, Run, compile_training
from jaxparl.types import KEY_IMPL

# Iterations that are timed, at least; what share of the memory a sweep may fill.
_TIMED = 200
_USABLE = 0.9


class Needs(NamedTuple):
    """What one stage of a sweep needs: its training, or its validation.

    Attributes:
      devices: that share the runs.
      lanes: runs of a device that are computed side by side; in validation, of runs under one
        scheme each.
      bytes_per_run: by XLA's own account; in validation, under all schemes.
      bytes_besides: of a device, however many runs it has.
      most_runs: that fit on all devices together.
      compile_seconds: of a program like that of the sweep.
      setup_seconds: in which games are solved and states initialised.
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
      bytes_per_device: that a device has.
      training: what training needs.
      validation: what validation needs, if there is one.
    """

    runs: int
    bytes_per_device: float
    training: Needs
    validation: Needs | None

    @property
    def most_runs(self) -> int:
        """That fit on all devices together, in every stage."""
        return min(needs.most_runs for needs in (self.training, self.validation) if needs)


class _Workload(NamedTuple):
    """One stage of a sweep, as it is to be compiled in any size.

    Attributes:
      compile_runs: `(config, runs) -> compiled`.
      rows_per_run: rows that a run takes: one, or one for each scheme.
      num_contexts: `runs ->` how many contexts there are to prepare.
    """

    compile_runs: Callable[[Config, Sequence[RunId]], CompiledRuns]
    rows_per_run: int
    num_contexts: Callable[[Sequence[RunId]], int]


def plan(
    config: Config,
    env: Environment,
    runs: Sequence[RunId],
    lanes: int | None = None,
    validate: bool = False,
    *,
    components: Components = STANDARD,
) -> Plan:
    """Compiles small versions of a sweep's programs, and times them; records nothing.

    Args:
      config: of the sweep.
      env: the game.
      runs: which runs.
      lanes: see `assign_runs`.
      validate: whether the principals are to be validated.
      components: what of the learner is made elsewhere.

    Raises:
      ValueError: the game cannot be validated, see `validation.requirements.check_can_validate`.
    """

    def training(config: Config, runs: Sequence[RunId]) -> CompiledRuns:
        return compile_training(config, env, runs, lanes, components=components)

    def validation(config: Config, runs: Sequence[RunId]) -> CompiledRuns:
        # Whatever the weights are, the programs are the same and take as long.
        problem = Problem(config, env, env.default_params, config.hyper_params, components)
        weights = _blank_weights(problem, len(runs))
        return compile_validation(config, env, runs, weights, lanes, components=components)

    def settings(runs: Sequence[RunId]) -> int:
        return len({(run.game_id, run.own) for run in runs})

    schemes = len(validation_runs(config, env, runs[:1]))
    trains = _Workload(training, rows_per_run=1, num_contexts=settings)
    validates = _Workload(validation, rows_per_run=schemes, num_contexts=len)
    return Plan(
        runs=len(runs),
        bytes_per_device=_memory(),
        training=_needs(trains, config, runs, lanes),
        validation=_needs(validates, config, runs, lanes) if validate else None,
    )


def _needs(workload: _Workload, config: Config, runs: Sequence[RunId], lanes: int | None) -> Needs:
    """Measures what a workload needs on a small part of its runs.

    Where a device computes its runs in waves, a wave works on a copy beside what all of them hold.
    The time is that of one wave, times how many there are; two are compiled, as one that has all
    runs would need no copy. Where all are computed side by side, all are measured.
    """
    per_run = workload.rows_per_run
    layout = assign_runs(per_run * len(runs), lanes)
    has_waves = assign_runs(2 * per_run * len(runs), lanes).lanes == layout.lanes
    wave = jax.device_count() * layout.lanes
    few = math.ceil(2 * wave / per_run) if has_waves else len(runs)
    some = [runs[number % len(runs)] for number in range(few)]
    short = _shortened(config)
    compiled = workload.compile_runs(short, some)
    bytes_per_row, besides = _bytes(compiled, has_waves)
    most = layout.devices * math.floor((_USABLE * _memory() - besides) / bytes_per_row)
    needs = Needs(
        devices=layout.devices,
        lanes=layout.lanes,
        bytes_per_run=per_run * bytes_per_row,
        bytes_besides=besides,
        most_runs=max(0, most) // per_run,
        compile_seconds=compiled.compile_seconds,
        setup_seconds=math.nan,
        seconds=math.nan,
    )
    if needs.most_runs < few:
        return needs
    start = time.perf_counter()
    state = jax.block_until_ready(compiled.start())
    setup = time.perf_counter() - start
    learning, evaluating = _seconds_of_wave(compiled.program, state)
    segments = config.iterations / short.iterations
    return needs._replace(
        setup_seconds=setup * workload.num_contexts(runs) / compiled.num_contexts,
        seconds=(layout.waves if has_waves else 1)
        * (segments * learning + config.num_evaluations * evaluating),
    )


def _shortened(config: Config) -> Config:
    """The same with a single evaluation interval of a single segment, as long as is timed."""
    whole = math.ceil(_TIMED / config.target_interval) * config.target_interval
    return dataclasses.replace(config, iterations=whole, evaluation_interval=whole)


def _blank_weights(problem: Problem, count: int) -> Weights:
    """Weights of principals, `[R, ...]`, that have learned nothing."""
    learner = make_learner(problem)
    key = jax.random.key(0, impl=KEY_IMPL)
    shapes = jax.eval_shape(lambda key: target_weights(learner.init(key)), key)
    blank: Weights = jax.tree.map(lambda leaf: np.zeros((count, *leaf.shape), leaf.dtype), shapes)
    return blank


def _bytes(compiled: CompiledRuns, has_waves: bool) -> tuple[float, float]:
    """What a row holds on a device while the programs run, and what it holds besides."""
    learn: Any = compiled.program.learn.memory_analysis()
    evaluate: Any = compiled.program.evaluate.memory_analysis()
    shared = learn.alias_size_in_bytes  # of outputs that lie where their inputs lay
    rows = len(compiled.layout.rows) // compiled.layout.devices
    held = learn.argument_size_in_bytes + learn.output_size_in_bytes - shared
    besides = max(
        learn.temp_size_in_bytes, evaluate.temp_size_in_bytes + evaluate.output_size_in_bytes
    )
    if has_waves:
        return held / rows, float(besides)
    return (held + besides) / rows, 0.0


def _memory() -> float:
    """The bytes of a device; of a CPU, its part of those that are free."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return float(stats["bytes_limit"])
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float(free / jax.local_device_count())


def _seconds_of_wave(program: IntervalProgram, runs: Run) -> tuple[float, float]:
    """What a segment and an evaluation of the first wave take, code and data warm."""
    number = np.int32(0)
    runs, losses = jax.block_until_ready(program.learn(runs, number, number))
    jax.block_until_ready(program.evaluate(runs, losses, number))
    start = time.perf_counter()
    runs, losses = jax.block_until_ready(program.learn(runs, number, number))
    learned = time.perf_counter()
    jax.block_until_ready(program.evaluate(runs, losses, number))
    return learned - start, time.perf_counter() - learned
