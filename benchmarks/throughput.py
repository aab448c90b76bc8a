"""How fast does training go, of one run and of many at once?

    python benchmarks/throughput.py [--parts game_tree ...] [--most RUNS] [--figure PNG]

Every registered environment, with the paper's settings where it has them: 1, 2, 4, ... runs in one
compiled program, laid out on the devices as the command line does it. Shown are iterations per
second of all runs together, the median of several segments without evaluation; compiling apart; and
what a run holds. One run is also driven by a Python loop, one compiled iteration a call. Runs are
doubled up to --most, by default 16 on a CPU and 1,024 elsewhere, or until they do not fit. The bars
are those of the machine that it runs on. On a CPU one run's products use all cores already: more
runs at once gain what those leave idle. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from report_card import Row, compile_everything, option_parser, report

from jaxparl import cli
from jaxparl.envs import REGISTRY
from jaxparl.learning import loop
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState
from jaxparl.training.devices import assign_runs, key_data
from jaxparl.training.programs import IntervalProgram, compile_interval
from jaxparl.training.sweep import draw_env_params
from jaxparl.types import PyTree

#: The paper's; every other environment is trained by its default preset.
PAPERS = {
    "game_tree": ("game_tree", "figure3"),
    "game_tree_per_action": ("game_tree", "figure3_per_action"),
    "coin_game_3x3": ("coin_game", "figure4"),
    "coin_game_7x7": ("coin_game", "figure2"),
}
# As long as a call is in training.
ITERATIONS, CALLS = 200, 6
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


def learner_of(environment: str, preset: str, *options: str) -> Learner:
    """The preset's with other options, its evaluation intervals as long as they are timed."""
    job = cli.parse([environment, "--preset", preset, *options])
    config = dataclasses.replace(
        job.config, iterations=ITERATIONS * CALLS, evaluation_interval=ITERATIONS
    )
    env = REGISTRY[environment].environment(job.settings)
    return make_learner(Problem(config, env, draw_env_params(env, 0), config.hyper_params))


class Running(NamedTuple):
    """The compiled program of some runs, and where they stand."""

    program: IntervalProgram
    state: PyTree
    compile_seconds: float


def compile_runs(learns: Learner, runs: int) -> Running:
    """Compiles runs of one game that differ in their seeds, without evaluations."""
    config = learns.problem.config
    layout = assign_runs(runs)

    def init(seed: jax.Array) -> RunState:
        return learns.init(jax.random.fold_in(jax.random.key(0), seed))

    def no_evaluation(_: RunState, losses: Losses) -> Losses:
        return losses

    state = jax.jit(jax.vmap(init), out_shardings=layout.sharding)(layout.rows)  # over R
    start = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        program = compile_interval(
            layout,
            config.segments_per_evaluation,
            learn=partial(
                loop.run_segment,
                config,
                learns.iterate,
                learns.move_targets,
            ),
            evaluate=no_evaluation,
            runs=state,
            pool=pool,
        )
    return Running(program, state, time.perf_counter() - start)


def seconds_of_call(running: Running) -> float:
    """The median of all calls but the first."""
    state, taken = running.state, []
    for number in range(CALLS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(running.program(state, number))
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def measure(learns: Learner, runs: int) -> Measured:
    running = compile_runs(learns, runs)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(key_data(running.state)))
    rate = runs * ITERATIONS / seconds_of_call(running)
    rows = len(assign_runs(runs).rows)
    return Measured(runs, rate, running.compile_seconds, held / rows)


def from_python(learns: Learner) -> float:
    """Iterations/s of one run whose every iteration is a call of its own; targets stay."""

    def iterate(state: RunState, number: jax.Array) -> RunState:
        return learns.iterate(state, number)[0]

    state = jax.jit(learns.init)(jax.random.key(0))
    compiled = jax.jit(iterate, donate_argnums=0).lower(state, np.int32(0)).compile()
    taken = []
    for call in range(CALLS):
        start = time.perf_counter()
        for number in range(ITERATIONS):
            state = compiled(state, np.int32(call * ITERATIONS + number))
        jax.block_until_ready(state)
        taken.append(time.perf_counter() - start)
    return ITERATIONS / float(np.median(taken[1:]))


def measured_row(name: str, num_envs: int, first: Measured, found: Measured) -> Row:
    """What so many runs reach, beside the `first`, which was one run."""
    runs, rate = found.runs, found.iterations_per_second
    linear = rate / runs / first.iterations_per_second
    bar = BARS.get((jax.default_backend(), name, runs))
    return Row(
        f"{name}: {runs:,} {'run' if runs == 1 else 'runs'}, iterations/s in all (environment "
        "steps/s; of linear; compiled in; memory of a run)",
        f"{rate:,.0f} ({rate * num_envs:,.0f}; {linear:.0%}; "
        f"{found.compile_seconds:.1f} s; {found.bytes_per_run / 1e6:.1f} MB)",
        f">= {bar:,}" if bar else "",
        rate >= bar if bar else None,
        found._asdict(),
    )


def no_room(name: str, runs: int) -> Row:
    """So many runs take more memory than there is."""
    return Row(f"{name}: {runs:,} runs", "do not fit", "", None)


def growing(learns: Learner, most: int, factor: int = 2) -> Iterator[tuple[int, Measured | None]]:
    """One run, then `factor` times as many each time: what they reach, or None if they do not fit.

    With those that do not fit it ends.
    """
    runs = 1
    while runs <= most:
        try:
            found = measure(learns, runs)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            yield runs, None
            return
        yield runs, found
        runs *= factor


def grow(name: str, most: int) -> tuple[list[Row], list[Measured]]:
    """One environment, with more and more runs."""
    learns = learner_of(*parts()[name])
    found: list[Measured] = []
    rows: list[Row] = []
    for runs, measured in growing(learns, most):
        if measured is None:
            rows.append(no_room(name, runs))
            continue
        found.append(measured)
        rows.append(measured_row(name, learns.problem.config.num_envs, found[0], measured))
    called = from_python(learns)
    slower = found[0].iterations_per_second / called
    what = f"{name}: 1 run, one iteration a call from Python"
    rows.append(Row(what, f"{called:,.0f}, {slower:.1f} times as slow", "", None))
    return rows, found


def draw(path: Path, rates: Mapping[str, Mapping[int, float]]) -> None:
    """Draws iterations/s of all runs together against their number, a colour and marker per name.

    Args:
      path: of the figure.
      rates: by name, then by the number of runs.
    """
    # matplotlib is not everywhere
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.ticker import FuncFormatter, LogFormatter

    from jaxparl.experiment.figures import STYLE, new_figure
    from jaxparl.experiment.line_styles import COLOURS

    with mpl.rc_context({**STYLE, "axes.prop_cycle": cycler(color=COLOURS)}):
        figure = new_figure(5.2, 3.6)
        axis = figure.subplots()
        for number, (name, found) in enumerate(rates.items()):
            runs, marker = np.array(list(found)), "os^v"[number // len(COLOURS)]
            (line,) = axis.plot(
                runs, list(found.values()), f"{marker}-", markersize=3.5, label=name
            )
            axis.plot(runs, found[runs[0]] * runs / runs[0], ":", color=line.get_color(), lw=0.8)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        # It leaves out labels that would overlap, where the axis has several powers of ten.
        axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
        axis.set_xlabel("runs at once (dotted: linear growth)")
        axis.set_ylabel("iterations/s, all runs together")
        # Where the dotted lines leave the fastest one far below, they say nothing more.
        axis.set_ylim(top=2 * max(max(found.values()) for found in rates.values()))
        figure.legend(loc="outside upper center", ncols=2)
        figure.savefig(path)


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
        draw(options.figure, grown)
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
