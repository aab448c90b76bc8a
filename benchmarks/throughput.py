"""How fast does training go, of one run and of many at once?

    python benchmarks/throughput.py [--parts game_tree ...] [--most RUNS] [--figure PNG]

Every registered environment, with the paper's settings where it has them: 1, 2, 4, ... runs, laid
out on the devices as the command line does it, in one compiled program. Iterations per second of
all runs together, the median of several chunks without evaluation; compiling apart; what a run
holds. One run is also driven by a loop of Python, one compiled iteration a call. Runs are doubled
up to --most, by default 16 on a CPU and 1,024 elsewhere, or until they do not fit. The bars are
those of the machine that it runs on. On a CPU one run's products use all cores already: more runs
at once gain what those leave idle. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from report_card import Row, compile_everything, option_parser, report

from jaxparl import cli, layout, lockstep, sweep, training
from jaxparl.chunk import Chunk, compile_chunk
from jaxparl.envs import REGISTRY
from jaxparl.lockstep import Learner
from jaxparl.run_state import Losses, RunState
from jaxparl.types import PyTree

# The paper's; every other environment is trained by its default preset.
PAPERS = {
    "game_tree": ("game_tree", "figure3"),
    "game_tree_per_action": ("game_tree", "figure3_per_action"),
    "coin_game_3x3": ("coin_game", "figure4"),
    "coin_game_7x7": ("coin_game", "figure2"),
}
# As long as a call is in training.
ITERATIONS, CHUNKS = 200, 6
MOST = {"cpu": 16}
MOST_ELSEWHERE = 1024
# The least iterations/s in all, by backend, part and runs.
BARS = {
    ("cpu", "game_tree", 1): 550,
    ("cpu", "game_tree_per_action", 1): 400,
    ("cpu", "coin_game_3x3", 1): 450,
    ("cpu", "coin_game_7x7", 1): 180,
    ("gpu", "game_tree", 256): 100_000,
    ("gpu", "coin_game_7x7", 1): 4_000,
    ("gpu", "coin_game_7x7", 64): 20_000,
}


class Measured(NamedTuple):
    """Training of so many runs: its rate in all, and what came before."""

    runs: int
    iterations_per_second: float
    compile_seconds: float
    bytes_per_run: float


def parts() -> dict[str, tuple[str, str]]:
    """Which environments, with which presets."""
    others = set(REGISTRY) - {environment for environment, _ in PAPERS.values()}
    return PAPERS | {name: (name, "quick") for name in sorted(others)}


def learner_of(environment: str, preset: str) -> Learner:
    """The preset's, its chunks as long as they are timed."""
    job = cli.parse([environment, "--preset", preset])
    config = dataclasses.replace(
        job.config,
        iterations=ITERATIONS * CHUNKS,
        evaluation_interval=ITERATIONS,
    )
    return lockstep.make_learner(config, REGISTRY[environment].environment(job.settings))


class Running(NamedTuple):
    """A compiled chunk of some runs, and where they stand."""

    chunk: Chunk
    state: PyTree
    compile_seconds: float


def compile_runs(learner: Learner, runs: int) -> Running:
    """Trains runs of one game that differ in their seeds, without evaluations."""
    params, rates = sweep.draw_game(learner.env, 0), learner.config.rates
    spread = layout.spread(runs)

    def init(seed: jax.Array) -> RunState:
        return lockstep.init(learner, params, rates, sweep.run_key(0, seed))

    def learn(state: RunState, stretch: jax.Array) -> tuple[RunState, Losses]:
        return training.learn(learner, params, rates, state, stretch)

    def no_evaluation(_: RunState, losses: Losses) -> Losses:
        return losses

    state = jax.jit(jax.vmap(init), out_shardings=spread.place)(spread.rows)
    start = time.perf_counter()
    stretches = learner.config.stretches
    with ThreadPoolExecutor() as pool:
        chunk = compile_chunk(spread, stretches, learn, no_evaluation, state, pool)
    return Running(chunk, state, time.perf_counter() - start)


def seconds_of_chunk(running: Running) -> float:
    """The median of all chunks but the first."""
    state, taken = running.state, []
    for number in range(CHUNKS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(running.chunk(state, number))
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def measure(learner: Learner, runs: int) -> Measured:
    running = compile_runs(learner, runs)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(layout.numbers(running.state)))
    rate = runs * ITERATIONS / seconds_of_chunk(running)
    rows = len(layout.spread(runs).rows)
    return Measured(runs, rate, running.compile_seconds, held / rows)


def from_python(learner: Learner) -> float:
    """Iterations/s of one run whose every iteration is a call of its own; targets stay."""
    params, rates = sweep.draw_game(learner.env, 0), learner.config.rates

    def iterate(state: RunState, number: jax.Array) -> RunState:
        return lockstep.iterate(learner, params, rates, state, number)[0]

    state = lockstep.init(learner, params, rates, sweep.run_key(0, 0))
    compiled = jax.jit(iterate, donate_argnums=0).lower(state, np.int32(0)).compile()
    taken = []
    for chunk in range(CHUNKS):
        start = time.perf_counter()
        for number in range(ITERATIONS):
            state = compiled(state, np.int32(chunk * ITERATIONS + number))
        jax.block_until_ready(state)
        taken.append(time.perf_counter() - start)
    return ITERATIONS / float(np.median(taken[1:]))


def grow(name: str, most: int) -> tuple[list[Row], list[Measured]]:
    """One environment, with more and more runs."""
    learner = learner_of(*parts()[name])
    backend, found, rows = jax.default_backend(), [], []
    while not found or 2 * found[-1].runs <= most:
        runs = 2 * found[-1].runs if found else 1
        try:
            found.append(measure(learner, runs))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            rows.append(Row(f"{name}: {runs:,} runs", "do not fit", "", None))
            break
        last = found[-1]
        steps = last.iterations_per_second * learner.config.num_envs
        linear = last.iterations_per_second / runs / found[0].iterations_per_second
        bar = BARS.get((backend, name, runs))
        rows.append(
            Row(
                f"{name}: {runs:,} runs, iterations/s in all (environment steps/s; of linear; "
                "compiled in; held by a run)",
                f"{last.iterations_per_second:,.0f} ({steps:,.0f}; {linear:.0%}; "
                f"{last.compile_seconds:.1f} s; {last.bytes_per_run / 1e6:.1f} MB)",
                f">= {bar:,}" if bar else "",
                last.iterations_per_second >= bar if bar else None,
                last._asdict(),
            )
        )
    called = from_python(learner)
    rows.append(
        Row(
            f"{name}: 1 run, one iteration a call from Python",
            f"{called:,.0f}, {found[0].iterations_per_second / called:.1f} times as slow",
            "",
            None,
        )
    )
    return rows, found


def main() -> int:
    parser = option_parser(__doc__, list(parts()))
    most = MOST.get(jax.default_backend(), MOST_ELSEWHERE)
    parser.add_argument(
        "--most", type=int, default=most, help="runs at most (default: %(default)s)"
    )
    parser.add_argument("--figure", type=Path, help="also draw rates against runs in this file")
    options = parser.parse_args()
    compile_everything()
    rows, grown = [], {}
    for name in options.parts:
        more, found = grow(name, options.most)
        rows += more
        grown[name] = {one.runs: one.iterations_per_second for one in found}
    if options.figure:
        from jaxparl import plotting  # matplotlib is not everywhere

        plotting.growth(options.figure, grown)
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
