"""How good does learning get on the paper's games, and how soon?

    python benchmarks/training.py [--parts figure3 ...] [--out results.json]

The first parts train a preset on trees at its full size, fifteen runs of 20,000 iterations in one
compiled program, and compare it with the exact equilibrium. The last one trains the Coin Game on
3x3, three runs, and lets black boxes learn under the principals. Beside what is reached stands the
wall-clock time until it was. Metrics have the names of metrics.csv. Exits with 1 if a bar is
missed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from report_card import Row, parse_options, report

from jaxparl import cli
from jaxparl.envs import REGISTRY
from jaxparl.experiment.options import all_runs
from jaxparl.learning.state import target_weights
from jaxparl.training.comparison import compile_validation, validation_runs
from jaxparl.training.devices import fetch
from jaxparl.training.sweep import Progress, compile_training, run


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


class Target(NamedTuple):
    """What has to be reached on the Coin Game, on average over the runs."""

    metric: str
    sign: Literal["<=", ">="]
    bar: float


WELFARE = Target("welfare_ratio", ">=", 0.92)
PAYMENT = Target("payment_share", "<=", 0.35)
IN_TRAINING = (WELFARE, PAYMENT, Target("relative_deviation_gain", "<=", 0.04))
IN_VALIDATION = (WELFARE, PAYMENT, Target("followed_share", ">=", 0.85))


def value_of(metrics: Any, name: str) -> np.ndarray:
    """A metric's values `[R]`. Validation does not record the ratio of its welfare."""
    if name == WELFARE.metric:
        return metrics.welfare / metrics.optimal_welfare
    return getattr(metrics, name)


def at_least(what: str, value: float, bar: float | None) -> Row:
    """A row whose bar is a lower one, if it has one."""
    passed = bool(value >= bar) if bar else None
    return Row(what, f"{value:.4f}", f">= {bar:g}" if bar else "", passed)


def until(history: Sequence[Progress], reached: np.ndarray) -> str:
    """When `reached [evaluations]` is true for the first time, and from when on it stays true."""
    if not reached.any():
        return "not reached"
    first = int(np.argmax(reached))
    missed = np.flatnonzero(~reached)
    lasting = int(missed[-1]) + 1 if len(missed) else 0
    shown = f"{history[first].seconds:.0f} s"
    if lasting == len(history):
        return f"{shown}, but not at the end"
    return shown if lasting == first else f"{shown}, for good {history[lasting].seconds:.0f} s"


def tree(name: str) -> list[Row]:
    """Trains a preset and compares it with the exact equilibrium."""
    job = cli.parse(["game_tree", "--preset", name])
    runs = all_runs(job)
    env = REGISTRY["game_tree"].environment(job.settings)
    compiled = compile_training(job.config, env, runs)
    history = list(run(job.config, compiled, compiled.start()))
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
    runs = all_runs(job)
    env = REGISTRY["coin_game"].environment(job.settings)
    compiled = compile_training(job.config, env, runs)
    history = list(run(job.config, compiled, compiled.start()))
    weights = fetch(compiled.layout, target_weights(history[-1].runs.state))
    validated = compile_validation(job.config, env, runs, weights)
    learned = list(run(job.config, validated, validated.start()))
    under = np.array([one.scheme == "principal" for one in validation_runs(job.config, env, runs)])
    everyone = np.full(len(runs), True)
    return [
        *at_targets(f"{BOARD}, {len(runs)} runs, training", history, everyone, IN_TRAINING),
        *at_targets(f"{BOARD}, black boxes of all six schemes", learned, under, IN_VALIDATION),
    ]


def at_targets(
    name: str, history: Sequence[Progress], chosen: np.ndarray, targets: Sequence[Target]
) -> list[Row]:
    """What the chosen runs `[R]` reach on average, and when they are at all targets together."""
    rows, reached = [], np.full(len(history), True)
    for metric, sign, bar in targets:
        each = np.array([value_of(one.metrics, metric)[chosen].mean() for one in history])
        passed = each >= bar if sign == ">=" else each <= bar
        shown = f"{each[-1]:.4f}"
        rows.append(Row(f"{name}: {metric}", shown, f"{sign} {bar:g}", bool(passed[-1])))
        reached &= passed
    rows.append(Row(f"{name}: until all of these are reached", until(history, reached), "", None))
    rows.append(Row(f"{name}: all of it", f"{history[-1].seconds:.0f} s", "", None))
    return rows


def main() -> int:
    parts = {**{name: partial(tree, name) for name in PRESET_BARS}, BOARD: board}
    options = parse_options(__doc__, list(parts))
    rows = [row for part in options.parts for row in parts[part]()]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
