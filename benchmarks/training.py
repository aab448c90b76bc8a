"""How good does learning get on the paper's games, and how soon?

    python benchmarks/training.py [--parts figure3 ...] [--out results.json]

The first parts train a preset on trees at its full size, fifteen runs of 20,000 iterations, in
one compiled program, against the exact equilibrium. The last one trains the Coin Game on 3x3, three
runs, and lets black boxes learn under the principals. Beside what is reached stands the wall-clock
time until it was. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from report_card import Row, parse_options, report

from jaxparl import cli, sweep
from jaxparl.comparison import compile_comparison, entrants
from jaxparl.envs import make
from jaxparl.layout import fetch
from jaxparl.run_state import target_weights
from jaxparl.selection import all_runs
from jaxparl.sweep import Progress


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
# Of the equilibrium's utility, on trees.
CLOSE = 0.99
BOARD = "figure4_fast"


class Reached(NamedTuple):
    """What has to be reached on the Coin Game, of the metrics `[R]` of an evaluation."""

    what: str
    of: Callable[[Any], np.ndarray]
    sign: Literal["<=", ">="]
    bar: float


WELFARE = Reached(
    "welfare of the best", lambda found: found.welfare / found.optimal_welfare, ">=", 0.92
)
PAYMENT = Reached("payments of the welfare", lambda found: found.payment_share, "<=", 0.35)
IN_TRAINING = (
    WELFARE,
    PAYMENT,
    Reached(
        "gain by deviating, of utility", lambda found: found.relative_deviation_gain, "<=", 0.04
    ),
)
IN_VALIDATION = (
    WELFARE,
    PAYMENT,
    Reached("recommendations followed", lambda found: found.follow_share, ">=", 0.85),
)


def at_least(what: str, value: float, bar: float | None) -> Row:
    """A row whose bar is a lower one, if it has one."""
    passed = bool(value >= bar) if bar else None
    return Row(what, f"{value:.4f}", f">= {bar:g}" if bar else "", passed)


def until(history: Sequence[Progress], reached: np.ndarray) -> str:
    """When all that comes later has `reached [evaluations]` its bar, and when it did at first."""
    if not reached.any():
        return "not reached"
    first = int(np.argmax(reached))
    missed = np.flatnonzero(~reached)
    lasting = int(missed[-1]) + 1 if len(missed) else 0
    told = f"{history[first].seconds:.0f} s"
    if lasting == len(history):
        return f"{told}, but not at the end"
    return told if lasting == first else f"{told}, for good {history[lasting].seconds:.0f} s"


def tree(name: str) -> list[Row]:
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
    close = until(history, np.median(ratio, axis=0) >= CLOSE)
    return [
        at_least(f"{name}, {len(runs)} runs: mean final utility of SPE's", final.mean(), bars.mean),
        at_least(f"{name}: worst run", final.min(), bars.worst),
        at_least(f"{name}: mean over the last quarter of the evaluations", tail.mean(), None),
        at_least(f"{name}: share of right recommendations", right.mean(), bars.right),
        Row(f"{name}: until the median run is within {1 - CLOSE:.0%} of SPE's", close, "", None),
        Row(
            f"{name}: all of it, compiling included",
            f"{minutes:.1f} min",
            f"<= {MINUTES_BAR:g} min",
            minutes <= MINUTES_BAR,
        ),
    ]


def board() -> list[Row]:
    """Trains principals on 3x3, and black boxes under them and under baselines."""
    job = cli.parse(["coin_game", "--preset", BOARD])
    runs = all_runs(job.selection.games, job.selection.seeds, (), job.config.rates)
    env, _ = make("coin_game", **dataclasses.asdict(job.settings))
    compiled = sweep.compile_sweep(job.config, env, runs)
    history = list(sweep.train(job.config, compiled, compiled.start()))
    weights = fetch(compiled.layout, target_weights(history[-1].state.run))
    followed = compile_comparison(job.config, env, runs, weights)
    learned = list(sweep.train(job.config, followed, followed.start()))
    under = np.array([entrant.scheme == "principal" for entrant in entrants(runs)])
    everyone = np.full(len(runs), True)
    return [
        *at_bars(f"{BOARD}, {len(runs)} runs, training", history, everyone, IN_TRAINING),
        *at_bars(f"{BOARD}, black boxes of all six schemes", learned, under, IN_VALIDATION),
    ]


def at_bars(
    name: str, history: Sequence[Progress], chosen: np.ndarray, bars: Sequence[Reached]
) -> list[Row]:
    """What the chosen runs `[R]` reach on average, and when they are at all bars together."""
    rows, reached = [], np.full(len(history), True)
    for what, of, sign, bar in bars:
        each = np.array([of(progress.metrics)[chosen].mean() for progress in history])
        passed = each >= bar if sign == ">=" else each <= bar
        rows.append(Row(f"{name}: {what}", f"{each[-1]:.4f}", f"{sign} {bar:g}", bool(passed[-1])))
        reached &= passed
    rows.append(Row(f"{name}: until all of these are reached", until(history, reached), "", None))
    rows.append(Row(f"{name}: all of it", f"{history[-1].seconds:.0f} s", "", None))
    return rows


def main() -> int:
    parts = {
        **{name: lambda name=name: tree(name) for name in PRESET_BARS},
        BOARD: board,
    }
    options = parse_options(__doc__, list(parts))
    rows = [row for part in options.parts for row in parts[part]()]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
