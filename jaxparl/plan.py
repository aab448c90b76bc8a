"""What a sweep will need, before it is run: bytes per run, how many fit, and how long it takes."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from jaxparl.config import Config
from jaxparl.environment import Game
from jaxparl.layout import spread
from jaxparl.runs import RunId
from jaxparl.sweep import Lowered, lower_sweep

# Iterations that are timed, at least; what part of the memory a sweep may fill.
_TIMED = 200
_USABLE = 0.9


class Plan(NamedTuple):
    """What is known of a sweep before it is run.

    Attributes:
      runs: asked for.
      devices: that share them.
      lanes: runs of a device that are computed side by side.
      bytes_per_run: by XLA's own account.
      bytes_besides: of a device, however many runs it has.
      bytes_per_device: that there are.
      most_runs: that fit on all devices together.
      compile_seconds: of a program like the sweep's.
      seconds: that training will take.
    """

    runs: int
    devices: int
    lanes: int
    bytes_per_run: float
    bytes_besides: float
    bytes_per_device: float
    most_runs: int
    compile_seconds: float
    seconds: float


def plan(config: Config, env: Game, runs: Sequence[RunId], lanes: int | None = None) -> Plan:
    """Compiles small versions of a sweep's program, and times a turn of it; records nothing.

    The memory of a device grows by the same number of bytes with every run, from the second turn
    on: a turn works on a copy of its runs, where there are others. Its time is that of its turns,
    a turn being the runs that are computed side by side: iterations and evaluations.
    """
    layout = spread(len(runs), lanes)
    devices = layout.devices
    of_turn = devices * layout.lanes
    some = [runs[number % len(runs)] for number in range(3 * of_turn)]
    short = _cut(config, _TIMED)
    long = _cut(config, 2 * short.iterations)

    start = time.perf_counter()
    two = lower_sweep(short, env, some[: 2 * of_turn], layout.lanes)
    compile_seconds = time.perf_counter() - start
    three = lower_sweep(short, env, some, layout.lanes)
    bytes_per_run = (_bytes(three) - _bytes(two)) / layout.lanes
    besides = _bytes(two) - 2 * layout.lanes * bytes_per_run
    sharing = min(devices, jax.local_device_count()) if jax.default_backend() == "cpu" else 1
    memory = _memory() / sharing
    most = math.floor((_USABLE * memory - besides) / bytes_per_run)

    first = _seconds_of_turn(two)
    second = _seconds_of_turn(lower_sweep(long, env, some[: 2 * of_turn], layout.lanes))
    iteration = max(0.0, second - first) / (long.iterations - short.iterations)
    evaluation = max(0.0, first - iteration * short.iterations)
    evaluations = config.iterations // config.evaluation_interval
    return Plan(
        runs=len(runs),
        devices=devices,
        lanes=layout.lanes,
        bytes_per_run=bytes_per_run,
        bytes_besides=besides,
        bytes_per_device=memory,
        most_runs=max(0, most) * devices,
        compile_seconds=compile_seconds,
        seconds=layout.turns * (config.iterations * iteration + evaluations * evaluation),
    )


def _cut(config: Config, iterations: int) -> Config:
    """The same with a single chunk of so many iterations, or a few more."""
    whole = math.ceil(iterations / config.target_interval) * config.target_interval
    return dataclasses.replace(config, iterations=whole, evaluation_interval=whole)


def _bytes(lowered: Lowered) -> float:
    """What the program holds on a device while it runs."""
    found: Any = lowered.chunk.program.memory_analysis()
    shared = found.alias_size_in_bytes  # of outputs that lie where their inputs lay
    return float(
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        + found.temp_size_in_bytes
        - shared
    )


def _memory() -> float:
    """The bytes of a device; of a CPU, those that are free."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return float(stats["bytes_limit"])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _seconds_of_turn(lowered: Lowered) -> float:
    """What a chunk takes of those whose turn is first, once its code and data are warm."""
    turn = lowered.chunk._replace(turns=1)
    state, _ = jax.block_until_ready(turn(lowered.start(), 0))
    start = time.perf_counter()
    jax.block_until_ready(turn(state, 0))
    return time.perf_counter() - start
