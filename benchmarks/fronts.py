"""What does a margin cost, and what does it buy? Payments and welfare, exact and learned.

    python benchmarks/fronts.py [--parts nudge alpha] [--runs FOLDER] [--seeds 0:5]
                                [--write docs/measured/fronts] [--figure PNG]

On the Coin Game, 3x3. `nudge` trains principals with one nudge after the other, uniform or in
proportion to what a deviation costs, and lets black boxes learn under them. `alpha` trains
principals to which payments matter more or less, with every nudge, and does not validate. Each is
one `jaxparl train`, resumed where it was stopped. Beside what was learned stands the exact
equilibrium with the same nudge. --seeds is for all chosen parts; without it each has its own.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from parts.front_tables import Point, mean_of
from parts.markdown import by_seed, interval, known, ratio, worst
from parts.resuming import train
from report_card import Row, announce, option_parser, report

from jaxparl.envs import REGISTRY, make
from jaxparl.equilibrium import solutions_of
from jaxparl.experiment.figures import STYLE
from jaxparl.experiment.line_styles import COLOURS
from jaxparl.experiment.provenance import machine, versions

GAME = ("coin_game", "--preset", "figure4_fast")
PRESET = REGISTRY["coin_game"].presets["figure4_fast"]
NUDGES = (0.01, 0.02, 0.03, 0.05, 0.08)
ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0)
#: What is guarded in full, in units of welfare; 0: everything.
SCALES = (0.0, 0.2)
#: How long principals are trained, and black boxes.
OF_NUDGES = ("--iterations", "20000", "--evaluation-interval", "4000")
OF_ALPHAS = ("--iterations", "8000", "--evaluation-interval", "8000")
ENOUGH = 0.98


def exact(nudge: float, scale: float, alpha: float) -> Point:
    """The equilibrium with a margin: its welfare, of the best, and what is paid, of the welfare."""
    env, env_params = make("coin_game", **vars(PRESET.settings))
    solutions = solutions_of(env)
    found = solutions.equilibrium(
        env_params,
        alpha,
        env_params.discount,
        nudge=nudge,
        nudge_scale=scale,
    )
    best = solutions.optimal_welfare(env_params)
    return {"welfare": float(found.welfare / best), "paid": float(found.payment_share)}


def learned(folder: Path, stage: str) -> list[Point]:
    """What was learned with each setting, by seed: in `summary` all follow.

    A seed that diverged has None.
    """
    groups = json.loads((folder / f"{stage}.json").read_text())["groups"]
    points = []
    for group in groups:
        labels = group["labels"]
        if labels.get("scheme", "principal") != "principal":
            continue
        seeds = by_seed(group).values()
        points.append(
            {
                "labels": {name: labels[name] for name in labels if name not in ("scheme", "game")},
                "welfare": [ratio(one["welfare"], one["optimal_welfare"]) for one in seeds],
                "paid": [one["payment_share"] for one in seeds],
            }
        )
    return points


def nudges(runs: Path, seeds: str) -> dict[str, Any]:
    """Principals and black boxes with every nudge, uniform and in proportion."""
    sweep = f"nudge={','.join(map(str, NUDGES))}", f"nudge_scale={','.join(map(str, SCALES))}"
    options = ("--seeds", seeds, "--sweep", *sweep, "--schemes", "principal", "--validate")
    folder = train(runs / "nudge", *GAME, *options, *OF_NUDGES)
    alpha = PRESET.config.hyper_params.alpha
    return {
        "exact": {
            f"{scale:g}": [{"nudge": nudge, **exact(nudge, scale, alpha)} for nudge in NUDGES]
            for scale in SCALES
        },
        "followed": learned(folder, "summary"),
        "black boxes": learned(folder, "validation"),
    }


def alphas(runs: Path, seeds: str) -> dict[str, Any]:
    """Principals with every alpha and every nudge, in proportion as the preset has it."""
    sweep = f"alpha={','.join(map(str, ALPHAS))}", f"nudge={','.join(map(str, NUDGES))}"
    options = ("--seeds", seeds, "--sweep", *sweep, "--no-validate")
    folder = train(runs / "alpha", *GAME, *options, *OF_ALPHAS)
    scale = PRESET.config.hyper_params.nudge_scale
    return {
        "exact": [
            {"alpha": alpha, "nudge": nudge, **exact(nudge, scale, alpha)}
            for alpha, nudge in itertools.product(ALPHAS, NUDGES)
        ],
        "followed": learned(folder, "summary"),
    }


class Part(NamedTuple):
    """What to find, from a folder for runs and seeds, and its seeds by default."""

    find: Callable[[Path, str], dict[str, Any]]
    seeds: str


PARTS = {"nudge": Part(nudges, "0:5"), "alpha": Part(alphas, "0:10")}


def rows(name: str, found: Mapping[str, Any]) -> list[Row]:
    """A line for every setting, of seeds together."""
    result = []
    for kind in ("followed", "black boxes"):
        for point in found.get(kind, []):
            settings = " ".join(f"{key} {value:g}" for key, value in point["labels"].items())
            measured = (
                f"welfare {mean_of(point['welfare'])} of the best, "
                f"worst {worst(point['welfare']):.1%}; {mean_of(point['paid'])} paid"
            )
            result.append(Row(f"{name}, {kind}: {settings}", measured, "", None))
    if name == "alpha":
        enough = sorted(
            {
                point["labels"]["alpha"]
                for point in found["followed"]
                if np.mean([welfare or 0.0 for welfare in point["welfare"]]) >= ENOUGH
            }
        )
        span = f"{enough[0]:g} to {enough[-1]:g}" if enough else "none"
        result.append(Row(f"alphas that hold {ENOUGH:.0%} of the best", span, "", None))
    return result


def draw(path: Path, found: Mapping[str, Any]) -> None:
    """Welfare against payments: exact curves, and what was learned with the same nudges."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axis = figure.subplots()
        names = {"0": "uniform", "0.2": "in proportion"}
        for colour, (scale, points) in zip(COLOURS, found["exact"].items(), strict=False):
            axis.plot(
                [100 * point["paid"] for point in points],
                [100 * point["welfare"] for point in points],
                "--",
                color=colour,
                label=f"exact, {names[scale]}",
            )
            for kind, marker in (("followed", "^"), ("black boxes", "o")):
                ours = [
                    (100 * known(point["welfare"]), 100 * known(point["paid"]))
                    for point in found[kind]
                    if f"{point['labels']['nudge_scale']:g}" == scale
                ]
                ours = [(welfare, paid) for welfare, paid in ours if len(welfare) and len(paid)]
                if not ours:
                    continue
                centre, *ends = np.array([interval(welfare) for welfare, _ in ours]).T
                axis.errorbar(
                    [paid.mean() for _, paid in ours],
                    centre,
                    yerr=np.abs(ends - centre),
                    fmt=marker,
                    color=colour,
                    capsize=2,
                    label=f"{kind}, {names[scale]}",
                )
        least = exact(0.0, 0.0, PRESET.config.hyper_params.alpha)["paid"]
        axis.axvline(100 * least, color="0.35", linewidth=0.8, linestyle=":")
        axis.set_xlabel("paid, % of the welfare (dotted: the equilibrium)")
        axis.set_ylabel("welfare, % of the best")
        axis.legend(fontsize=7)
        figure.savefig(path)


def main() -> int:
    """Runs the chosen parts."""
    parser = option_parser(__doc__, list(PARTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/fronts"), help="where to train")
    parser.add_argument("--seeds", help="of each setting; by default those of the part")
    parser.add_argument("--write", type=Path, help="a folder for one JSON file per part")
    parser.add_argument("--figure", type=Path, help="also draw the part `nudge` in this file")
    options = parser.parse_args()
    lines: list[Row] = []
    for name in options.parts:
        seeds = options.seeds or PARTS[name].seeds
        found = PARTS[name].find(options.runs, seeds)
        if options.write:
            options.write.mkdir(parents=True, exist_ok=True)
            kept = found | {
                "command": f"python benchmarks/fronts.py --parts {name} --seeds {seeds}",
                "machine": machine(),
                "versions": versions(),
            }
            (options.write / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")
        if options.figure and name == "nudge":
            draw(options.figure, found)
        lines += announce(rows(name, found))
    return report(lines, options.out)


if __name__ == "__main__":
    sys.exit(main())
