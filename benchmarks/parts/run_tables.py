"""The tables of recorded runs, from what `tables.py --keep` has copied of their folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxparl.experiment.statistics import estimate
from parts.game_tables import OF_MANY
from parts.markdown import (
    BySeed,
    Column,
    by_seed,
    estimate_of,
    estimates,
    least,
    measured_on,
    ratio,
    seed_lines,
    table,
    values_of,
    what_a_cell_says,
)

#: What is copied of a folder, where it is there.
KEPT = ("config.json", "summary.json", "validation.json", "metrics.npz", "validation.npz")
MOST_EVALUATIONS = 8

TREES = (
    Column("utility over SPE's", "utility_ratio", ".4f"),
    Column("over the last quarter", "utility_ratio_last_quarter", ".4f"),
    Column("right recommendations", "recommendation_accuracy", ".2%"),
    Column("contracts that hold", "obedience", ".2%"),
)
VALIDATED = (
    Column("welfare", "welfare", ".2f"),
    Column("of the best", "welfare_ratio", ".1%"),
    Column("paid", "payment_share", ".1%"),
    Column("followed", "followed_share", ".1%"),
    Column("own / recommended", "own_over_recommended_following", ".3f"),
    Column("best response", "best_response_over_following", ".3f"),
    Column("both on their own", "own_over_recommended_own", ".3f"),
)


def read(folder: Path, name: str) -> dict[str, Any]:
    """The content of a JSON file of a folder."""
    return json.loads((folder / f"{name}.json").read_text())


def trees(folder: Path) -> list[str]:
    """Each tree's estimates, its worst run, and what all trees have in common."""
    groups, lines = read(folder, "summary")["groups"], []
    for group in groups:
        seeds = by_seed(group, quarters=True)
        worst = least(seeds, "utility_ratio")
        lines.append([group["name"], *estimates(seeds, TREES), f"{worst:.4f}"])
    head = ["", *(column.head for column in TREES), "the worst run"]
    return [*table(head, lines), "", caption(folder, "summary", len(groups[0]["seeds"]))]


def trees_overview(folders: Sequence[Path]) -> list[str]:
    """Figure 3 beside the paper: a column for each folder, over all trees and seeds."""
    columns = []
    for folder in folders:
        runs = [by_seed(group, quarters=True) for group in read(folder, "summary")["groups"]]

        def all_of(metric: str, runs: Sequence[BySeed] = runs) -> np.ndarray:
            return np.concatenate([values_of(seeds, metric) for seeds in runs])

        columns.append(
            [
                f"{all_of('utility_ratio').mean():.3f}",
                f"{min(least(seeds, 'utility_ratio') for seeds in runs):.3f}",
                f"{all_of('utility_ratio_last_quarter').mean():.3f}",
                f"{all_of('recommendation_accuracy').mean():.1%}",
            ]
        )
    what = [
        "utility over SPE's, mean",
        "the worst run",
        "last quarter, mean",
        "right recommendations",
    ]
    papers = ["0.98", "", "", "about 90%"]
    lines = [[*cells] for cells in zip(what, papers, *columns, strict=True)]
    return table(["", "the paper", *(f"`{folder.name}`" for folder in folders)], lines)


def training(folder: Path) -> list[str]:
    """What every seed has learned, and its certificate."""
    [group] = read(folder, "summary")["groups"]
    lines = seed_lines(by_seed(group), OF_MANY)
    head = ["seed", *(column.head for column in OF_MANY)]
    return [*table(head, lines), "", caption(folder, "summary", 1, how=False)]


def validation(folder: Path) -> list[str]:
    """What black boxes bring under each scheme."""
    groups, lines = read(folder, "validation")["groups"], []
    for group in groups:
        seeds = with_ratio(by_seed(group))
        worst = f"{least(seeds, 'welfare_ratio'):.1%}"
        lines.append([group["labels"]["scheme"], *estimates(seeds, VALIDATED), worst])
    head = ["", *(column.head for column in VALIDATED), "the worst seed, of the best"]
    return [*table(head, lines), "", caption(folder, "validation", len(groups[0]["seeds"]))]


def with_ratio(seeds: BySeed) -> BySeed:
    """The same with the share of the best welfare."""
    return {
        seed: {**values, "welfare_ratio": ratio(values["welfare"], values["optimal_welfare"])}
        for seed, values in seeds.items()
    }


def of_board(folder: Path) -> tuple[BySeed, BySeed]:
    """What black boxes bring under the principals of a board, and what these have learned."""
    groups = read(folder, "validation")["groups"]
    [group] = [group for group in groups if group["labels"]["scheme"] == "principal"]
    [trained] = [by_seed(group) for group in read(folder, "summary")["groups"]]
    return with_ratio(by_seed(group)), trained


def boards_overview(folders: Sequence[Path]) -> list[str]:
    """Figures 2 and 4 beside the paper and what is exact: two columns for each folder."""
    columns = []
    for folder in folders:
        seeds, trained = of_board(folder)

        def centre(metric: str, form: str, of: BySeed = seeds) -> str:
            return estimate_of(values_of(of, metric), form)

        best, paid = (
            values_of(seeds, name)[0] for name in ("optimal_welfare", "equilibrium_payment_share")
        )
        columns += [
            [
                centre("welfare_ratio", ".1%"),
                centre("payment_share", ".1%"),
                centre("followed_share", ".1%"),
                centre("own_over_recommended_following", ".3f"),
                centre("own_over_recommended_own", ".3f"),
                centre("relative_deviation_gain", ".1%", trained),
            ],
            [
                f"{best:.2f}",
                f"{paid:.1%} at least",
                "",
                centre("best_response_over_following", ".3f"),
                "",
                "0",
            ],
        ]
    what = [
        "welfare, of the best",
        "payments, of the welfare",
        "recommendations followed",
        "utility, own policy over recommended",
        "the same, the other on its own policy too",
        "most an agent gains by deviating, of its utility",
    ]
    papers = [
        "as good as cooperative agents",
        "about 30%",
        "80% to 90%",
        *["within 5% to 10% of 1"] * 2,
        "not known",
    ]
    heads = [head for folder in folders for head in (f"`{folder.name}`", "exact")]
    lines = [[*cells] for cells in zip(what, papers, *columns, strict=True)]
    return table(["", "the paper", *heads], lines)


def front(trees: Path, *boards: Path) -> list[str]:
    """The table of the README: the paper, what was learned, and what is exact; means."""
    runs = [by_seed(group) for group in read(trees, "summary")["groups"]]

    def of_trees(metric: str) -> np.ndarray:
        return np.concatenate([values_of(seeds, metric) for seeds in runs])

    utility, right = of_trees("utility_ratio"), of_trees("recommendation_accuracy").mean()
    worst, count = min(least(seeds, "utility_ratio") for seeds in runs), sum(map(len, runs))
    lines = [
        [
            "**trees of depth 10** (Figure 3): utility over the equilibrium's",
            "0.98",
            f"**{utility.mean():.3f}**; worst of {count} runs {worst:.3f}",
            "1",
        ],
        ["right recommendations", "about 90%", f"{right:.1%}", ""],
    ]
    for folder, name in zip(boards, ("3x3** (Figure 4)", "7x7** (Figure 2)"), strict=True):
        lines += front_of_board(folder, name)
    return [*table(["", "the paper", "jaxparl", "exact"], lines), "", front_caption(trees, *boards)]


def front_of_board(folder: Path, name: str) -> list[list[str]]:
    """The lines of one board, of black boxes under the principal."""
    seeds, trained = of_board(folder)
    welfare = values_of(seeds, "welfare_ratio")
    paid = values_of(seeds, "equilibrium_payment_share")[0]
    runs = (
        f"worst of {len(seeds)} runs {least(seeds, 'welfare_ratio'):.1%}"
        if len(seeds) > 1
        else "1 run"
    )

    def mean(metric: str, of: BySeed = seeds) -> str:
        return f"{values_of(of, metric).mean():.1%}"

    return [
        [
            f"**Coin Game, {name}: welfare, of the best",
            "as cooperative agents",
            f"**{welfare.mean():.1%}**; {runs}",
            "100%",
        ],
        [
            "payments, of the welfare",
            "about 30%",
            mean("payment_share"),
            f"{paid:.1%} at least",
        ],
        ["recommendations followed", "80% to 90%", mean("followed_share"), ""],
        [
            "largest gain by deviating, of utility",
            "not known",
            mean("relative_deviation_gain", trained),
            "0",
        ],
    ]


def front_caption(*folders: Path) -> str:
    """How long each of these took, and where."""
    minutes = []
    for folder in folders:
        stages = [s for s in ("summary", "validation") if (folder / f"{s}.json").exists()]
        timings = [read(folder, stage)["timing"] for stage in stages]
        seconds = sum(one["train_seconds"] + one["compile_seconds"] for one in timings)
        minutes.append(f"`{folder.name}` {seconds / 60:.0f}")
    config = read(folders[0], "config")
    where = f"{config['machine']['processor']}, {config['machine']['cores']} cores"
    return f"*Means over all runs; minutes at most, on {where}: {', '.join(minutes)}.*"


def course(folder: Path) -> list[str]:
    """Quality against wall-clock time, of training and of validation under the principal."""
    found, kept = read(folder, "summary"), np.load(folder / "metrics.npz")
    iterations = kept["iteration"]
    shown = np.unique(np.linspace(0, len(iterations) - 1, MOST_EVALUATIONS).round().astype(int))
    columns = [
        [f"{iterations[at]:,}" for at in shown],
        times(iterations, shown, found),
        centres(kept["welfare_ratio"], shown, ".1%"),
        centres(kept["payment_share"], shown, ".1%"),
        centres(kept["deviation_gain"], shown, ".3f"),
    ]
    head = ["iterations", "training", "of the best", "paid", "gain"]
    if (folder / "validation.npz").exists():
        boxes = np.load(folder / "validation.npz")
        rows = boxes["scheme"] == "principal"
        welfare = boxes["welfare"][rows] / boxes["optimal_welfare"][rows]
        columns += [
            times(iterations, shown, read(folder, "validation")),
            centres(welfare, shown, ".1%"),
            centres(boxes["payment_share"][rows], shown, ".1%"),
            centres(boxes["followed_share"][rows], shown, ".1%"),
        ]
        head += ["validating all schemes", "of the best", "paid", "followed"]
    return table(head, [[*cells] for cells in zip(*columns, strict=True)])


def times(iterations: np.ndarray, shown: np.ndarray, found: Mapping[str, Any]) -> list[str]:
    """When the iterations were done, if all took equally long."""
    seconds = found["timing"]["train_seconds"]
    return [f"{seconds * iterations[at] / iterations[-1]:.0f} s" for at in shown]


def centres(curve: np.ndarray, shown: np.ndarray, form: str) -> list[str]:
    """The centres of all seeds at some evaluations, of curves `[R, T]`."""
    found = estimate(curve[:, shown].astype(float)).centre
    return [format(value, form) for value in found]


def caption(folder: Path, name: str, count: int, *, how: bool = True) -> str:
    """How a cell is to be read, what was run where, and how long it took."""
    config, timing = read(folder, "config"), read(folder, name)["timing"]
    start = f"{what_a_cell_says(count)[0].upper()}{what_a_cell_says(count)[1:]}. " if how else ""
    stage = "training" if name == "summary" else "validation"
    return (
        f"*{start}{timing['train_seconds'] / 60:.1f} minutes of {stage} after "
        f"{timing['compile_seconds']:.0f} s of compiling, {timing['iterations_per_second']:,.0f} "
        f"iterations/s in all; {measured_on(config)}.*"
    )
