"""Do runs at scale keep their promises: to the bit, in so much memory, at so little cost?

    python benchmarks/scale.py [--parts kills independence sweep memory plan cost] [--out JSON]

Each part trains through the command line, as its users do. `kills` ends runs of both games with
SIGKILL at twenty random moments, and resumes them. `independence` trains a run alone, among
sixteen, on one and on eight devices and in two parts, at equal lanes and at others. `sweep` holds
96 runs of one program against 96 programs of one run. `memory` watches processes from iteration
1,000 to 20,000. `plan` holds what a plan says against what processes take. `cost` is the time that
goes into anything but training. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from report_card import Row, parse_options, report, tell

from jaxparl import cli, phase, sweep
from jaxparl.checkpoint import fingerprints, load_weights
from jaxparl.environment import Game
from jaxparl.envs import REGISTRY
from jaxparl.layout import numbers
from jaxparl.plan import plan
from jaxparl.records import RunFolder
from jaxparl.run_state import Weights
from jaxparl.runs import RunId
from jaxparl.selection import Job, all_runs

KILLS = 20
# The paper's networks and replay; on the Coin Game black boxes are trained too.
KILLED = {
    "game_tree": (
        *("--preset", "figure3", "--iterations", "6000", "--evaluation-interval", "200"),
        *("--games", "0:1", "--seeds", "0:2"),
    ),
    "coin_game": (
        *("--preset", "figure4_fast", "--iterations", "4000", "--evaluation-interval", "200"),
        *("--games", "0:1", "--seeds", "0:1", "--validate"),
    ),
}
PAPERS = {"game_tree": "figure3", "coin_game": "figure4"}
SHORT = (
    *("--iterations", "200", "--evaluation-interval", "200", "--games", "0:1"),
    "--no-validate",
)
SWEPT = ("game_tree", *("--depth", "6", "--iterations", "400", "--evaluation-interval", "100"))
LANES = (1, 4)
DRIFT_BAR, MEMORY_BAR, PLAN_BAR, COST_BAR = 1e-5, 0.05, 0.10, 0.03
# What the runs of two processes hold in all, as planned: by how much one takes more than the other
# is what is measured, and so much that it does not matter what was free already.
LITTLE, MUCH = 0.5e9, 4e9


class Found(NamedTuple):
    """What a run folder holds of one phase: arrays `[R, ...]`, digests of final states `[R]`."""

    arrays: dict[str, np.ndarray]
    fingerprints: list[str]

    def select(self, rows: Sequence[int]) -> Found:
        arrays = {name: values[list(rows)] for name, values in self.arrays.items()}
        return Found(arrays, [self.fingerprints[row] for row in rows])

    def same(self, other: Found) -> bool:
        """Whether every bit is the same."""
        return self.fingerprints == other.fingerprints and all(
            values.tobytes() == other.arrays[name].tobytes() for name, values in self.arrays.items()
        )


def read(folder: Path, name: str = "metrics", summary: str = "summary") -> Found:
    found = np.load(folder / f"{name}.npz")
    told = json.loads((folder / f"{summary}.json").read_text())
    arrays = {field: found[field] for field in found if field != "iteration"}
    return Found(arrays, told["fingerprints"])


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jaxparl", "train", *arguments, "--out", str(folder)]


def run(asked: Sequence[str], **environment: str) -> int:
    """Runs a command to its end; returns the most bytes that it had resident."""
    # Asked for until it ends: what the system says afterwards may be this process's own, which it
    # was before it became another.
    most = 0
    with subprocess.Popen(
        asked, env=os.environ | environment, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            most = max(most, _resident(process.pid, "VmHWM"))
            time.sleep(0.01)
    assert process.returncode == 0, f"{' '.join(asked)} ended with {process.returncode}"
    return most


def train(folder: Path, *arguments: str, **environment: str) -> Found:
    """Trains in a process of its own, to its end."""
    run(command(folder, *arguments), **environment)
    return read(folder)


def parse(*arguments: str) -> tuple[Job, Game]:
    job = cli.parse(arguments)
    return job, REGISTRY[job.environment].environment(job.settings)


def kills(place: Path) -> list[Row]:
    """Ends runs at random moments and resumes them, until it was often enough."""
    luck, rows = random.Random(0), []
    for game, arguments in KILLED.items():
        asked = (game, *arguments, "--checkpoint-seconds", "0", "--resume", "auto")
        train(place / f"{game}-cold", *asked)  # compiles, for those that follow
        start = time.monotonic()
        train(place / f"{game}-whole", *asked)
        length, killed, resumed, alike = time.monotonic() - start, 0, 0, 0
        phases = [("metrics", "summary")]
        if "--validate" in asked:
            phases.append(("validation", "validation"))
        while killed < KILLS // len(KILLED):
            folder = place / f"{game}-{resumed}"
            while not _ends(command(folder, *asked), luck.uniform(0, length)):
                killed += 1
            resumed += 1
            pairs = [(read(folder, *of), read(place / f"{game}-whole", *of)) for of in phases]
            alike += all(one.same(other) for one, other in pairs)
        what = f"{game}: {killed} SIGKILLs in {resumed} runs, resumed; like the uninterrupted one"
        rows.append(Row(what, f"{alike} of {resumed}", "all", alike == resumed))
    return rows


def _ends(asked: Sequence[str], seconds: float) -> bool:
    """Whether a process ends by itself in that time; otherwise it is killed."""
    with subprocess.Popen(asked, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False
        return True


def independence(place: Path) -> list[Row]:
    """One run, whatever is trained beside it and wherever, with as many threads."""
    rows = []
    for game, preset in PAPERS.items():
        asked, many = (game, "--preset", preset, *SHORT), ("--seeds", "0:16")
        weights = {}
        for lanes in LANES:
            wide, here = (*asked, "--lanes", str(lanes)), place / f"{game}-{lanes}"
            found = {
                devices: train(here / devices, *wide, *many, **of_devices(devices))
                for devices in ("1", "2", "8")
            }
            together = found["2"]
            alike = {
                "on one device": found["1"].same(together),
                "on eight devices": found["8"].same(together),
            }
            for seed in (0, 6, 15):
                one = ("--seeds", f"{seed}:{seed + 1}")
                alone = train(here / f"seed-{seed}", *wide, *one, **of_devices("2"))
                alike["alone"] = alike.get("alone", True) and alone.same(together.select([seed]))
            for part in (0, 1):
                half = f"shard-{part}-of-2"
                shard = ("--shard", f"{part}/2")
                run(command(here, *wide, *many, *shard), **of_devices("2"))
                these = together.select(range(8 * part, 8 * part + 8))
                alike[half] = read(here / half).same(these)
            broken = [what for what, is_alike in alike.items() if not is_alike]
            rows.append(
                Row(
                    f"{game}, {lanes} lanes: alone, in either half, on 1 device or 8; like 16 on 2",
                    f"not {', '.join(broken)}" if broken else "every bit",
                    "every bit",
                    not broken,
                )
            )
            weights[lanes] = flat(load_weights(here / "2" / "checkpoints" / "final"))
        one, several = (weights[lanes] for lanes in LANES)
        drift = np.linalg.norm(several - one, axis=1) / np.linalg.norm(one, axis=1)
        rows.append(
            Row(
                f"{game}, {LANES[1]} lanes against {LANES[0]}, after 200 iterations: how far a "
                "run's weights are apart (norms), median and most",
                f"{np.median(drift):.0e}, {drift.max():.0e}",
                f"<= {DRIFT_BAR:g}",
                bool(drift.max() <= DRIFT_BAR),
                {"drift": drift.tolist()},
            )
        )
    return rows


def of_devices(count: str) -> dict[str, str]:
    """An environment of so many devices and always as many threads, by which sums are cut."""
    return {"JAX_NUM_CPU_DEVICES": count, "NPROC": "8"}


def flat(weights: Weights) -> np.ndarray:
    """`[R, everything]`."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(vars(weights))]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def sweep_of_settings(_: Path) -> list[Row]:
    """Three nudges x 32 seeds of one program, against 96 programs of one run."""
    job, env = parse(*SWEPT)
    runs = all_runs("0:1", "0:32", ("nudge=0.0,0.005,0.02",), job.config.rates)
    start = time.perf_counter()
    together = _last_state(job, sweep.compile_sweep(job.config, env, runs))
    seconds, alike = time.perf_counter() - start, 0
    for number, one in enumerate(runs):
        alone = _last_state(job, sweep.compile_sweep(job.config, env, [one]))
        alike += alone == [together[number]]
    return [
        Row(
            f"game_tree, depth 6: of {len(runs)} runs (3 nudges x 32 seeds) of one program, like "
            "those of a program each, to the bit",
            f"{alike}",
            f"{len(runs)}",
            alike == len(runs),
        ),
        Row("all of them in one program, compiling included", f"{seconds:.0f} s", "", None),
    ]


def _last_state(job: Job, compiled: sweep.Sweep) -> list[str]:
    *_, last = sweep.train(job.config, compiled, compiled.start())
    return fingerprints(numbers(last.state))[: len(compiled.runs)]


def memory(place: Path) -> list[Row]:
    """What a process takes while it trains, from iteration 1,000 to 20,000."""
    rows = []
    for game, preset in PAPERS.items():
        folder, taken = place / game, {}
        # A little longer, as what a run takes at its end is the plan's matter.
        length = ("--iterations", "21000", "--evaluation-interval", "1000", "--games", "0:1")
        asked = command(folder, game, "--preset", preset, *length, *SHORT[-1:], "--seeds", "0:2")
        with subprocess.Popen(asked, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                time.sleep(0.02)
                iteration, resident = _iteration(folder / "metrics.csv"), _resident(process.pid)
                if 0 < iteration <= 20_000:
                    taken[iteration] = max(resident, taken.get(iteration, 0))
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


def _iteration(path: Path) -> int:
    """The last iteration that is recorded."""
    lines = path.read_text().splitlines() if path.exists() else []
    if len(lines) < 2:
        return 0
    column = lines[0].split(",").index("iteration")
    return int(lines[-1].split(",")[column])


def _resident(pid: int, what: str = "VmRSS") -> int:
    """The bytes that a process has resident; VmHWM: the most that it ever had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith(what)]
    return 1024 * int(found[0]) if found else 0


def plans(place: Path) -> list[Row]:
    """What a plan says that a run holds, against what processes take at most."""
    rows = []
    for game, validated in (("game_tree", False), ("coin_game", False), ("coin_game", True)):
        # Twice as long, so that there is a checkpoint.
        asked = (game, "--preset", PAPERS[game], *(SHORT[:-1] if validated else SHORT))
        asked = (*asked, "--iterations", "400")
        job, env = parse(*asked)
        said = plan(job.config, env, [RunId(0, seed) for seed in range(16)], validate=validated)
        planned = (said.validation or said.training).bytes_per_run
        few, many = (round(size / planned) for size in (LITTLE, MUCH))
        peaks = []
        for count in (few, many):
            folder = place / f"{game}-{validated}-{count}"
            peaks.append(run(command(folder, *asked, "--seeds", f"0:{count}")))
        each = (peaks[1] - peaks[0]) / (many - few)
        off = planned / each - 1
        rows.append(
            Row(
                f"{game}{' and its validation' if validated else ''}: bytes per run as planned, "
                f"{planned / 1e6:.2f} MB, and as taken at most, checkpoints included, {few} to "
                f"{many} runs: {each / 1e6:.2f} MB",
                f"{off:+.1%}",
                f"within {PLAN_BAR:.0%}",
                abs(off) <= PLAN_BAR,
            )
        )
    return rows


def cost(place: Path) -> list[Row]:
    """What records, the progress line and checkpoints take of the time, as often as by default."""
    rows = []
    for game, preset in (("game_tree", "figure3"), ("coin_game", "figure4_fast")):
        job, env = parse(game, "--preset", preset, "--games", "0:1")
        runs = all_runs("0:1", "0:2", (), job.config.rates)
        compiled = sweep.compile_sweep(job.config, env, runs)
        folder = RunFolder(place / game)
        start = time.perf_counter()
        trained = phase.go(job.config, compiled, folder, phase.TRAINING)
        seconds, inside = time.perf_counter() - start, trained.timing["train_seconds"]
        rows.append(
            Row(
                f"{game} {preset}, 2 runs x {job.config.iterations:,} iterations, "
                f"{len(trained.iterations)} chunks: {seconds:.1f} s, {inside:.1f} s of it inside",
                f"{seconds / inside - 1:.1%}",
                f"<= {COST_BAR:.0%}",
                seconds / inside - 1 <= COST_BAR,
            )
        )
    return rows


PARTS = {
    "kills": kills,
    "independence": independence,
    "sweep": sweep_of_settings,
    "memory": memory,
    "plan": plans,
    "cost": cost,
}


def main() -> int:
    options = parse_options(__doc__, list(PARTS))
    rows = []
    for part in options.parts:
        with tempfile.TemporaryDirectory(prefix="jaxparl-scale-") as place:
            rows += tell(PARTS[part](Path(place)))
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
