"""What does it cost to draw from replay, uniformly and by priority, and to change priorities?

    python benchmarks/replay.py [--parts 1 10 ...] [--out results.json]

A part is a number of runs, vmapped. Each holds 100,000 transitions of 30 bytes. An iteration
stores 8, draws 128 and, by priority, gives those 128 new priorities. Whole iterations are timed,
in a compiled scan whose state is donated. The cost of a step is the difference between the
programs with it and without it. Programs of more than 8 GB are left out. There are no bars.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from report_card import Row, parse_options, report

from jaxparl.learning import priorities, ring
from jaxparl.learning.priorities import Priorities
from jaxparl.types import Transition

CAPACITY, NUM_ENVS, BATCH = 100_000, 8, 128
EXPONENT, FLOOR = 0.4, 1e-7
RUNS = (1, 10, 100, 1000)
GIGABYTES_LIMIT = 8.0
REPEATS = 7
# What an iteration does: `uniform` stores, and draws uniformly; `draw` and the last one store both
# the transitions and their priorities, draw by priority, and update.
PROGRAMS = ("store", "uniform", "store both", "draw", "draw and update")


@struct.dataclass
class State:
    """What a run stores."""

    ring: Transition
    priorities: Priorities


class Timing(NamedTuple):
    """One program: microseconds per iteration and run, NaN where it was left out."""

    median_us: float
    compile_s: float
    gigabytes: float


def transition(value: jax.Array) -> Transition:
    """A transition of one agent whose state is seven small integers; its reward is `value`."""
    state, action = jnp.zeros(7, jnp.int8), jnp.zeros(1, jnp.int8)
    reward = jnp.full(1, value, jnp.float32)
    return Transition(
        env_state=state,
        action=action,
        outcome=action,
        follows=jnp.zeros(1, bool),
        deviated=jnp.zeros(1, bool),
        agent_reward=reward,
        principal_reward=reward,
        next_env_state=state,
        continues=jnp.float32(1.0),
    )


def full_state(runs: int) -> State:
    """The state of `[R]` runs, full: every item has a priority of its own."""
    stored = ring.init(transition(jnp.float32(0)), CAPACITY)
    empty = priorities.init(CAPACITY, NUM_ENVS)
    error = jax.random.normal(jax.random.key(0), (CAPACITY,))
    full = priorities.update(empty, jnp.arange(CAPACITY), error, exponent=EXPONENT, floor=FLOOR)
    one = State(stored, full)
    return jax.tree.map(lambda leaf: jnp.tile(leaf, (runs,) + (1,) * leaf.ndim), one)


def iterate(program: str, state: State, key: jax.Array, iteration: jax.Array):
    """One iteration of one run: the state, and a number that depends on all that was drawn."""
    key = jax.random.fold_in(key, iteration)
    rewards = jnp.sin(iteration + jnp.arange(NUM_ENVS))
    stored = ring.add(state.ring, jax.vmap(transition)(rewards), iteration)  # over E
    if program == "store":
        return State(stored, state.priorities), 0.0
    if program == "uniform":
        index = ring.draw(key, iteration, capacity=CAPACITY, num_envs=NUM_ENVS, batch_size=BATCH)
        batch = ring.take(stored, index)
        return State(stored, state.priorities), total(batch)
    known = priorities.add(state.priorities, iteration, NUM_ENVS)
    if program == "store both":
        return State(stored, known), 0.0
    index = priorities.sample(known, key, BATCH)
    batch = ring.take(stored, index)
    if program == "draw and update":
        error = batch.agent_reward[:, 0]
        known = priorities.update(known, index, error, exponent=EXPONENT, floor=FLOOR)
    return State(stored, known), total(batch)


def total(batch: Transition) -> jax.Array:
    return sum((leaf.sum() for leaf in jax.tree.leaves(batch)), jnp.float32(0))


def compile_program(program: str, runs: int, iterations: int):
    """Compiles `iterations` iterations of `[R]` runs: (states, keys, first) -> states, totals."""

    def step(keys, states, iteration):
        over_runs = jax.vmap(lambda state, key: iterate(program, state, key, iteration))
        return over_runs(states, keys)  # over R, the iteration is shared

    def loop(states, keys, first):
        return jax.lax.scan(partial(step, keys), states, first + jnp.arange(iterations))

    shapes = jax.eval_shape(lambda: (full_state(runs), run_keys(runs), jnp.int32(0)))
    return jax.jit(loop, donate_argnums=0).lower(*shapes).compile()


def run_keys(runs: int) -> jax.Array:
    return jax.vmap(lambda run: jax.random.fold_in(jax.random.key(0), run))(jnp.arange(runs))


def measure(runs: int) -> dict[str, Timing]:
    """Times the programs in turns, so that what else the machine does falls on all of them."""
    iterations = max(4, 2000 // runs)
    compiled, timings = {}, {}
    for program in PROGRAMS:
        start = time.perf_counter()
        compiled[program] = compile_program(program, runs, iterations)
        compile_s = time.perf_counter() - start
        memory = compiled[program].memory_analysis()
        gigabytes = (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e9
        timings[program] = Timing(float("nan"), compile_s, gigabytes)
    if max(timing.gigabytes for timing in timings.values()) > GIGABYTES_LIMIT:
        return timings
    # The uniform draws are from a full ring too.
    states, keys, first = full_state(runs), run_keys(runs), jnp.int32(CAPACITY // NUM_ENVS)
    seconds = {program: [] for program in PROGRAMS}
    for _ in range(1 + REPEATS):
        for program in PROGRAMS:
            start = time.perf_counter()
            states, _ = jax.block_until_ready(compiled[program](states, keys, first))
            seconds[program].append(time.perf_counter() - start)
            first += iterations
    # The first call of each warms it up.
    per_run = {name: np.median(calls[1:]) / iterations / runs for name, calls in seconds.items()}
    return {name: timings[name]._replace(median_us=1e6 * x) for name, x in per_run.items()}


def rows_of(runs: int) -> list[Row]:
    timings = measure(runs)
    us = {program: timing.median_us for program, timing in timings.items()}
    cost_us = {
        "drawn uniformly": us["uniform"] - us["store"],
        "drawn by priority": us["draw"] - us["store both"],
        "given a new priority": us["draw and update"] - us["draw"],
    }
    whole = [
        Row(
            f"{program}: {runs:,} runs, one iteration of one, median of {REPEATS} calls",
            f"{timing.median_us:.1f} us; compiled in {timing.compile_s:.1f} s;"
            f" {timing.gigabytes:.3f} GB",
            "",
            None,
            timing._asdict(),
        )
        for program, timing in timings.items()
    ]
    return whole + [
        Row(f"an item {what}: {runs:,} runs", f"{1e3 * cost / BATCH:.0f} ns", "", None)
        for what, cost in cost_us.items()
    ]


def main() -> int:
    options = parse_options(__doc__, [str(runs) for runs in RUNS])
    rows = [row for part in options.parts for row in rows_of(int(part))]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
