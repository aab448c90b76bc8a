"""How good and how fast is learning on the paper's trees?

    python benchmarks/game_tree.py [--parts speed figure3 ...] [--out results.json]

`speed` times one run with either form of the critics in steady state, compilation apart, and
counts the bytes that a run holds. The other parts train a preset at its full size, fifteen runs
of 20,000 iterations, in one compiled program. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from typing import NamedTuple

import jax
import numpy as np

# As the command line does: a core is a device, so that runs do not wait for each other.
with contextlib.suppress(RuntimeError):
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))

from report_card import Row, parse_options, report

from jaxparl import cli, sweep
from jaxparl.envs import make

CHUNKS = 9
SPEED_BARS = {"figure3_per_action": 280.0, "figure3": 350.0}


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
BYTES_BAR = 16e6


def speed(preset: str) -> list[Row]:
    """Times one run: the median of the chunks after the first, evaluations included."""
    env, _ = make("game_tree")
    config = cli.parse(["game_tree", "--preset", preset]).config
    config = dataclasses.replace(config, iterations=config.evaluation_interval * CHUNKS)
    compiled = sweep.compile_sweep(config, env, [sweep.RunId(0, 0)])
    arrays = jax.tree.leaves(jax.eval_shape(lambda: compiled.state))
    held = sum(x.size * x.dtype.itemsize for x in arrays)
    seconds = np.diff([0.0, *(progress.seconds for progress in sweep.train(config, compiled))])
    rate = config.evaluation_interval / float(np.median(seconds[1:]))
    name = f"one run of {preset}"
    return [
        at_least(f"{name}: iterations/s, median of {CHUNKS - 1} chunks", rate, SPEED_BARS[preset]),
        Row(f"{name}: compiling", f"{compiled.compile_seconds:.1f} s", "", None),
        Row(f"{name}: bytes held", f"{held / 1e6:.1f} MB", "<= 16 MB", held <= BYTES_BAR),
    ]


def at_least(what: str, value: float, bar: float | None) -> Row:
    """A row whose bar is a lower one, if it has one."""
    shown = f"{value:.4f}" if value < 2 else f"{value:.0f}"
    return Row(what, shown, f">= {bar:g}" if bar else "", bool(value >= bar) if bar else None)


def preset(name: str) -> list[Row]:
    """Trains a preset and holds it against the exact equilibrium."""
    job = cli.parse(["game_tree", "--preset", name])
    runs = cli.selected_runs(job.selection)
    env, _ = make("game_tree", **dataclasses.asdict(job.settings))
    compiled = sweep.compile_sweep(job.config, env, runs)
    history = list(sweep.train(job.config, compiled))
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
        "speed": lambda: [row for preset in SPEED_BARS for row in speed(preset)],
        **{name: lambda name=name: preset(name) for name in PRESET_BARS},
    }
    options = parse_options(__doc__, list(parts))
    rows = [row for part in options.parts for row in parts[part]()]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
