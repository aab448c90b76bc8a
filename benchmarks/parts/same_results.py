"""Whether runs have the same bits: killed and resumed, alone or among others, swept together."""

from __future__ import annotations

import random
import time
from pathlib import Path

import jax
import numpy as np
from report_card import Row

from jaxparl.experiment.checkpoint import fingerprints, load_weights
from jaxparl.experiment.options import Job, all_runs
from jaxparl.learning.state import Weights
from jaxparl.training import sweep
from jaxparl.training.devices import key_data
from jaxparl.training.sweep import CompiledRuns, compile_training
from parts.processes import PAPERS, SHORT, Found, command, ends, parse, read, run, train

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
MANY = ("--seeds", "0:16")
LANES = (1, 4)
DRIFT_BAR = 1e-5
# Three nudges x 32 seeds.
SWEPT = (
    *("game_tree", "--depth", "6", "--iterations", "400", "--evaluation-interval", "100"),
    *("--games", "0:1", "--seeds", "0:32", "--sweep", "nudge=0.0,0.005,0.02"),
)


def kills(folder: Path) -> list[Row]:
    """Ends runs at random moments and resumes them, until there were enough kills."""
    moments, rows = random.Random(0), []
    for game, arguments in KILLED.items():
        line = (game, *arguments, "--checkpoint-seconds", "0", "--resume", "auto")
        train(folder / f"{game}-cold", *line)  # compiles, for those that follow
        start = time.monotonic()
        train(folder / f"{game}-whole", *line)
        length, killed, resumed, alike = time.monotonic() - start, 0, 0, 0
        stages = [("metrics", "summary")]
        if "--validate" in line:
            stages.append(("validation", "validation"))
        while killed < KILLS // len(KILLED):
            out = folder / f"{game}-{resumed}"
            while not ends(command(out, *line), moments.uniform(0, length)):
                killed += 1
            resumed += 1
            pairs = [(read(out, *of), read(folder / f"{game}-whole", *of)) for of in stages]
            alike += all(one.same(other) for one, other in pairs)
        what = f"{game}: {killed} SIGKILLs in {resumed} runs, resumed; like the uninterrupted one"
        rows.append(Row(what, f"{alike} of {resumed}", "all", alike == resumed))
    return rows


def independence(folder: Path) -> list[Row]:
    """One run, whatever is trained beside it and wherever, with as many threads."""
    rows = []
    for game, preset in PAPERS.items():
        weights = {}
        for lanes in LANES:
            line = (game, "--preset", preset, *SHORT, "--lanes", str(lanes))
            out = folder / f"{game}-{lanes}"
            alike = alone_or_among_others(out, line)
            broken = [what for what, is_alike in alike.items() if not is_alike]
            rows.append(
                Row(
                    f"{game}, {lanes} lanes: alone, in either half, on 1 device or 8; like 16 on 2",
                    f"not {', '.join(broken)}" if broken else "every bit",
                    "every bit",
                    not broken,
                )
            )
            weights[lanes] = flat(load_weights(out / "2" / "checkpoints" / "final"))
        rows.append(drift_row(game, weights))
    return rows


def alone_or_among_others(out: Path, line: tuple[str, ...]) -> dict[str, bool]:
    """Whether runs have the bits that they have among 16 on two devices, by where they ran."""
    found: dict[str, Found] = {
        count: train(out / count, *line, *MANY, **devices(count)) for count in ("1", "2", "8")
    }
    together = found["2"]
    alike = {
        "on one device": found["1"].same(together),
        "on eight devices": found["8"].same(together),
    }
    for seed in (0, 6, 15):
        one = ("--seeds", f"{seed}:{seed + 1}")
        alone = train(out / f"seed-{seed}", *line, *one, **devices("2"))
        alike["alone"] = alike.get("alone", True) and alone.same(together.select([seed]))
    for part in (0, 1):
        half = f"shard-{part}-of-2"
        run(command(out, *line, *MANY, "--shard", f"{part}/2"), **devices("2"))
        these = together.select(range(8 * part, 8 * part + 8))
        alike[half] = read(out / half).same(these)
    return alike


def drift_row(game: str, weights: dict[int, np.ndarray]) -> Row:
    """How far weights `[R, everything]` are apart, by lanes."""
    one, several = (weights[lanes] for lanes in LANES)
    drift = np.linalg.norm(several - one, axis=1) / np.linalg.norm(one, axis=1)
    return Row(
        f"{game}, {LANES[1]} lanes against {LANES[0]}, after 200 iterations: how far a "
        "run's weights are apart (norms), median and most",
        f"{np.median(drift):.0e}, {drift.max():.0e}",
        f"<= {DRIFT_BAR:g}",
        bool(drift.max() <= DRIFT_BAR),
        {"drift": drift.tolist()},
    )


def devices(count: str) -> dict[str, str]:
    """An environment of so many devices and always as many threads, by which sums are cut."""
    return {"JAX_NUM_CPU_DEVICES": count, "NPROC": "8"}


def flat(weights: Weights) -> np.ndarray:
    """`[R, everything]`."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(vars(weights))]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def sweep_of_settings(_: Path) -> list[Row]:
    """All runs of a sweep in one program, against a program for each."""
    job, env = parse(*SWEPT)
    runs = all_runs(job)
    start = time.perf_counter()
    together = final_states(job, compile_training(job.config, env, runs))
    seconds, alike = time.perf_counter() - start, 0
    for number, one in enumerate(runs):
        alone = final_states(job, compile_training(job.config, env, [one]))
        alike += alone == [together[number]]
    return [
        Row(
            f"game_tree, depth 6: of {len(runs)} runs (3 nudges x 32 seeds) of one program, like "
            "those of a program each, bit for bit",
            f"{alike}",
            f"{len(runs)}",
            alike == len(runs),
        ),
        Row("all of them in one program, compiling included", f"{seconds:.0f} s", "", None),
    ]


def final_states(job: Job, compiled: CompiledRuns) -> list[str]:
    """Digests of all runs after the last iteration."""
    *_, last = sweep.run(job.config, compiled, compiled.start())
    return fingerprints(key_data(last.runs))[: len(compiled.runs)]
