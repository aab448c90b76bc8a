"""What runs at scale take: memory, as planned and over time, and time for all but training."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
from report_card import Row

from jaxparl.experiment.run_folder import RunFolder
from jaxparl.experiment.stage import TRAINING, run_stage
from jaxparl.learning.state import target_weights
from jaxparl.training.plan import plan
from jaxparl.training.runs import grid
from jaxparl.training.sweep import compile_training
from parts.processes import PAPERS, SHORT, command, parse, resident, run

MEMORY_BAR, PLAN_BAR, COST_BAR = 0.05, 0.10, 0.03
# A little longer than is watched: what a run takes at its end is the plan's matter.
WATCHED = 20_000
LONG = (
    *("--iterations", "21000", "--evaluation-interval", "1000"),
    *("--games", "0:1", "--seeds", "0:2", "--no-validate"),
)
# What the runs of two processes hold in all, as planned. The difference between the two is measured
# and is so large that it does not matter what was free already.
LITTLE, MUCH = 0.5e9, 4e9


def memory(folder: Path) -> list[Row]:
    """What a process takes while it trains, from iteration 1,000 to 20,000."""
    rows = []
    for game, preset in PAPERS.items():
        taken = watch(folder / game, game, preset)
        most = np.array(list(taken.values()))
        apart = most / most.mean() - 1
        rows.append(
            Row(
                f"{game}: most resident memory from each thousandth iteration to the next, "
                f"checkpoints included, {len(taken)} times up to {max(taken):,}: around its mean "
                f"of {most.mean() / 1e6:.0f} MB (the last is {most[-1] / most[0] - 1:+.1%} off the "
                "first)",
                f"{apart.min():+.1%} to {apart.max():+.1%}",
                f"within {MEMORY_BAR:.0%}",
                bool(abs(apart).max() <= MEMORY_BAR),
                {"bytes": taken},
            )
        )
    return rows


def watch(folder: Path, game: str, preset: str) -> dict[int, int]:
    """The most resident bytes of a training process, by the last iteration that is recorded."""
    taken: dict[int, int] = {}
    line = command(folder, game, "--preset", preset, *LONG)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(0.02)
            iteration, found = last_iteration(folder / "metrics.csv"), resident(process.pid)
            if 0 < iteration <= WATCHED:
                taken[iteration] = max(found, taken.get(iteration, 0))
    return taken


def last_iteration(path: Path) -> int:
    """The last iteration that is recorded."""
    lines = path.read_text().splitlines() if path.exists() else []
    if len(lines) < 2:
        return 0
    column = lines[0].split(",").index("iteration")
    return int(lines[-1].split(",")[column])


def plans(folder: Path) -> list[Row]:
    """What a run holds as planned, against what processes take at most."""
    rows = []
    for game, validated in (("game_tree", False), ("coin_game", False), ("coin_game", True)):
        # Twice as long, so that there is a checkpoint.
        line = (game, "--preset", PAPERS[game], *(SHORT[:-1] if validated else SHORT))
        line = (*line, "--iterations", "400")
        job, env = parse(*line)
        planned = plan(job.config, env, grid([0], range(16)), validate=validated)
        each = (planned.validation or planned.training).bytes_per_run
        few, many = (round(size / each) for size in (LITTLE, MUCH))
        peaks = []
        for count in (few, many):
            out = folder / f"{game}-{validated}-{count}"
            peaks.append(run(command(out, *line, "--seeds", f"0:{count}")))
        found = (peaks[1] - peaks[0]) / (many - few)
        off = each / found - 1
        rows.append(
            Row(
                f"{game}{' and its validation' if validated else ''}: bytes per run as planned, "
                f"{each / 1e6:.2f} MB, and as taken at most, checkpoints included, {few} to "
                f"{many} runs: {found / 1e6:.2f} MB",
                f"{off:+.1%}",
                f"within {PLAN_BAR:.0%}",
                abs(off) <= PLAN_BAR,
            )
        )
    return rows


def cost(folder: Path) -> list[Row]:
    """What records, the progress line and checkpoints take of the time, as often as by default."""
    rows = []
    for game, preset in (("game_tree", "figure3"), ("coin_game", "figure4_fast")):
        job, env = parse(game, "--preset", preset)
        compiled = compile_training(job.config, env, grid([0], [0, 1]))
        start = time.perf_counter()
        trained, _ = run_stage(
            job.config,
            compiled,
            RunFolder(folder / game),
            TRAINING,
            keep=lambda runs: target_weights(runs.state),
        )
        seconds, inside = time.perf_counter() - start, trained.timing["train_seconds"]
        rows.append(
            Row(
                f"{game} {preset}, 2 runs x {job.config.iterations:,} iterations, "
                f"{len(trained.iterations)} evaluations: {seconds:.1f} s, {inside:.1f} s of it "
                "training",
                f"{seconds / inside - 1:.1%}",
                f"<= {COST_BAR:.0%}",
                seconds / inside - 1 <= COST_BAR,
            )
        )
    return rows
