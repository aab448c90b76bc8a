"""The figures of the paper, in full and by the command line, resumed where they were stopped."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from report_card import Row

from parts.gpu.children import GRACE, lines
from parts.gpu.plan import Plan, TimeUpError
from parts.markdown import BySeed, by_seed, values_of
from parts.processes import command
from parts.run_tables import read, with_ratio

#: The environment of each preset, and the minutes that it may take.
FIGURES = {
    "figure3": ("game_tree", None),
    "figure4": ("coin_game", 10.0),
    "figure2": ("coin_game", 10.0),
}
# The summary that a stage writes last, and the table to which it adds every evaluation.
_STAGES = {"training": ("summary", "metrics"), "validation": ("validation", "validation")}
# How good it is, by the names in these tables, and how a number is written.
_QUALITY = {
    "utility_ratio": ".4f",
    "recommendation_accuracy": ".2%",
    "welfare_ratio": ".2%",
    "payment_share": ".1%",
    "relative_deviation_gain": ".2%",
    "followed_share": ".1%",
}


def figure(name: str, plan: Plan) -> Iterator[Row]:
    """Trains a preset with its validation and baselines, or what is left of it."""
    environment, bar = FIGURES[name]
    folder = plan.folder / name
    options = (*plan.sizes.options[environment], *plan.sizes.of_figures)
    line = command(folder, environment, "--preset", name, *options, "--resume", "auto")
    is_new, start = not folder.exists(), time.monotonic()
    try:
        # What it is asked to save when its time is up takes time, too.
        for said in lines(line, plan.budget.within(plan.budget.left() - GRACE)):
            print(said, end="", file=sys.stderr, flush=True)
    except TimeUpError as error:
        yield Row(name, f"cut: {error}, {where(folder)}; the same command goes on", "", None)
    else:
        seconds = time.monotonic() - start if is_new else seconds_in_all(folder)
        yield Row(
            f"{name}: all of it, {'' if is_new else 'in several calls, '}compiling included",
            f"{seconds / 60:.1f} min",
            f"<= {bar:g} min" if bar else "",
            seconds <= 60 * bar if bar else None,
        )
    for stage, (summary, _) in _STAGES.items():
        if (folder / f"{summary}.json").exists():
            yield from finished(f"{name}, {stage}", folder, summary)


def finished(what: str, folder: Path, summary: str) -> Iterator[Row]:
    """How long a stage took, and how good its runs are in the end."""
    content = read(folder, summary)
    timing = content["timing"]
    yield Row(
        f"{what}: seconds (to set up; to compile): iterations/s in all",
        f"{timing['train_seconds']:.0f} ({timing['setup_seconds']:.0f}; "
        f"{timing['compile_seconds']:.0f}): {timing['iterations_per_second']:,.0f}",
        "",
        None,
        timing,
    )
    schemes: dict[str, list[BySeed]] = {}
    for group in content["groups"]:
        seeds, scheme = by_seed(group), group["labels"].get("scheme", "all follow")
        is_validated = "scheme" in group["labels"]
        schemes.setdefault(scheme, []).append(with_ratio(seeds) if is_validated else seeds)
    for scheme, groups in schemes.items():
        count = sum(map(len, groups))
        yield Row(f"{what}, {scheme}: means (ranges) of {count} runs", quality(groups), "", None)


def quality(groups: Sequence[BySeed]) -> str:
    """How good runs are: of each metric that they have the mean, the least and the largest."""
    shown = []
    for metric, form in _QUALITY.items():
        values = np.concatenate([values_of(seeds, metric) for seeds in groups])
        if len(values):
            ends = f"{values.min():{form}} to {values.max():{form}}"
            shown.append(f"{metric} {values.mean():{form}} ({ends})")
    return "; ".join(shown)


def seconds_in_all(folder: Path) -> float:
    """What both stages took in all calls, but only the last call's compiling."""
    return sum(
        read(folder, summary)["timing"][f"{what}_seconds"]
        for summary, _ in _STAGES.values()
        if (folder / f"{summary}.json").exists()
        for what in ("compile", "setup", "train")
    )


def where(folder: Path) -> str:
    """How far a run has come: its last evaluation."""
    for stage, (_, table) in reversed(_STAGES.items()):
        path = folder / f"{table}.csv"
        written = path.read_text() if path.exists() else ""
        evaluations = [*csv.DictReader(written.splitlines())]
        if evaluations:
            return f"{stage} at iteration {int(evaluations[-1]['iteration']):,}"
    return "before the first evaluation"
