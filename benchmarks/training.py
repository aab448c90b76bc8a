"""How good and how fast is learning on the paper's games?

    python benchmarks/training.py [--parts speed figure3 ...] [--out results.json]

`speed` times one run of the paper's settings, trees with either form of the critics and the Coin
Game on both boards, in steady state, compilation and evaluation apart, and counts the bytes that a
run holds. The other parts train a preset on trees at its full size, fifteen runs of 20,000
iterations, in one compiled program. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from report_card import Row, compile_everything, parse_options, report

from jaxparl import cli, lockstep, sweep, training
from jaxparl.envs import make
from jaxparl.selection import all_runs

CHUNKS = 9
ITERATIONS_PER_CHUNK = 400


class SpeedBars(NamedTuple):
    """The least speed of one run, and the most bytes that it may hold beside its networks."""

    iterations_per_second: float
    bytes_held: float


SPEED_BARS = {
    ("game_tree", "figure3_per_action"): SpeedBars(280.0, 16e6),
    ("game_tree", "figure3"): SpeedBars(350.0, 16e6),
    ("coin_game", "figure4"): SpeedBars(300.0, 6e6),
    ("coin_game", "figure2"): SpeedBars(100.0, 6e6),
}


class Bars(NamedTuple):
    """The least that a preset has to reach, where there is a bar."""

    mean: float
    worst: float | None
    right: float | None


PRESET_BARS = {
    "figure3": Bars(mean=0.98, worst=0.95, right=0.985),
    "figure3_per_action": Bars(mean=0.96, worst=None, right=0.94),
    "figure3_learned_outcomes": Bars(mean=0.97, worst=None, right=None),
}
MINUTES_BAR = 15.0


def speed(environment: str, preset: str) -> list[Row]:
    """Times one run: the median of the chunks after the first."""
    job = cli.parse([environment, "--preset", preset])
    env, _ = make(environment, **dataclasses.asdict(job.settings))
    config = dataclasses.replace(
        job.config,
        iterations=CHUNKS * ITERATIONS_PER_CHUNK,
        evaluation_interval=ITERATIONS_PER_CHUNK,
    )
    learner, rates = lockstep.make_learner(config, env), config.rates
    params = sweep.draw_game(env, 0)
    state = jax.jit(lambda key: lockstep.init(learner, params, rates, key))(sweep.run_key(0, 0))
    held = bytes_of((state.replay, state.sampler, state.game))
    networks = bytes_of(state) - held

    def learn(state, chunk):
        return training.learn_chunk(learner, params, rates, state, chunk)

    compile_everything()
    start = time.perf_counter()
    compiled = jax.jit(learn, donate_argnums=0).lower(state, jnp.int32(0)).compile()
    compile_seconds = time.perf_counter() - start
    seconds = []
    for chunk in range(CHUNKS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(compiled(state, jnp.int32(chunk)))
        seconds.append(time.perf_counter() - start)
    rate = ITERATIONS_PER_CHUNK / float(np.median(seconds[1:]))
    bars, name = SPEED_BARS[environment, preset], f"one run of {environment} {preset}"
    most = bars.bytes_held
    return [
        at_least(
            f"{name}: iterations/s, median of {CHUNKS - 1} chunks", rate, bars.iterations_per_second
        ),
        Row(f"{name}: compiling", f"{compile_seconds:.1f} s", "", None),
        Row(
            f"{name}: bytes held beside networks, targets and optimisers",
            f"{held / 1e6:.1f} MB",
            f"<= {most / 1e6:g} MB",
            held <= most,
        ),
        Row(f"{name}: bytes of those", f"{networks / 1e6:.1f} MB", "", None),
    ]


def bytes_of(tree: Any) -> int:
    """What the arrays of a pytree take."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def at_least(what: str, value: float, bar: float | None) -> Row:
    """A row whose bar is a lower one, if it has one."""
    shown = f"{value:.4f}" if value < 2 else f"{value:.0f}"
    return Row(what, shown, f">= {bar:g}" if bar else "", bool(value >= bar) if bar else None)


def preset(name: str) -> list[Row]:
    """Trains a preset and holds it against the exact equilibrium."""
    job = cli.parse(["game_tree", "--preset", name])
    runs = all_runs(job.selection.games, job.selection.seeds, (), job.config.rates)
    env, _ = make("game_tree", **dataclasses.asdict(job.settings))
    compiled = sweep.compile_sweep(job.config, env, runs)
    history = list(sweep.train(job.config, compiled, compiled.start()))
    ratio = np.stack([progress.metrics.utility_ratio for progress in history], axis=1)  # [R, ...]
    right = history[-1].metrics.recommendation_accuracy
    final, tail = ratio[:, -1], ratio[:, -(ratio.shape[1] // 4) :]
    minutes = (history[-1].seconds + compiled.compile_seconds) / 60
    bars = PRESET_BARS[name]
    took = Row(
        f"{name}: all of it, compiling included",
        f"{minutes:.1f} min",
        f"<= {MINUTES_BAR:g} min",
        minutes <= MINUTES_BAR,
    )
    return [
        at_least(f"{name}, {len(runs)} runs: mean final utility of SPE's", final.mean(), bars.mean),
        at_least(f"{name}: worst run", final.min(), bars.worst),
        at_least(f"{name}: mean over the last quarter of the evaluations", tail.mean(), None),
        at_least(f"{name}: share of right recommendations", right.mean(), bars.right),
        took,
    ]


def main() -> int:
    parts = {
        "speed": lambda: [row for which in SPEED_BARS for row in speed(*which)],
        **{name: lambda name=name: preset(name) for name in PRESET_BARS},
    }
    options = parse_options(__doc__, list(parts))
    rows = [row for part in options.parts for row in parts[part]()]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
