"""The closing table of a stage as text: what its columns hold, and the legends below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxparl.experiment.metrics_table import ABOUT, METRICS
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import (
    LEAST_RUNS_FOR_INTERVAL,
    Group,
    estimate,
    half_interval,
    kinds_of_centre,
)

#: The header of its interval.
PLUS_MINUS = "±"


class Column(NamedTuple):
    """A column of the closing table: its title, and what it says of each group."""

    header: str
    cells: list[str]


def closing_columns(groups: Sequence[Group], result: StageResult) -> list[Column]:
    """The groups, and their last evaluation: what was learned beside what is exact."""
    last = {name: values[:, -1:] for name, values in result.curves.items()}
    has_range = any(kinds_of_centre(groups))
    columns = [
        Column("", [group.name for group in groups]),
        Column("", [group.size for group in groups]),
    ]
    for metric in METRICS:
        if metric.name not in last:
            continue
        found = [estimate(group.values(last[metric.name])) for group in groups]
        is_estimate = metric.error in last
        centre = _cells([each.centre for each in found], metric.format)
        about = [cell and f"{ABOUT}{cell}" for cell in centre]
        columns.append(Column(metric.header, about if is_estimate else centre))
        if is_estimate:
            errors = [half_interval(group.values(last[metric.error])) for group in groups]
            columns.append(Column(PLUS_MINUS, _cells(errors, metric.format)))
        if metric.over_runs and has_range:
            columns.append(Column("from", _cells([each.low for each in found], metric.format)))
            columns.append(Column("to", _cells([each.high for each in found], metric.format)))
    return columns


def _cells(values: Sequence[np.ndarray], spec: str) -> list[str]:
    """The last of each of the arrays `[T]` as it is written; empty where it is no number."""
    return ["" if np.isnan(value[-1]) else f"{value[-1]:{spec}}" for value in values]


def closing_legends(groups: Sequence[Group], result: StageResult) -> list[str]:
    """What the columns are, and how seeds and episodes are averaged."""
    shown = [metric for metric in METRICS if metric.name in result.curves]
    estimated = [metric for metric in shown if metric.error in result.curves]
    legends = [
        metric.legend_of_estimate or metric.legend if metric in estimated else metric.legend
        for metric in shown
    ]
    lines = [legend for legend in legends if legend]
    if estimated:
        episodes = np.nanmax(result.curves["episodes"])
        lines.append(
            f"{ABOUT}: estimated from {episodes:.0f} episodes of each run; {PLUS_MINUS}: the "
            "half-width of the 95% interval over them"
        )
    has_range = any(kinds_of_centre(groups)) and any(metric.over_runs for metric in shown)
    return [*lines, *_of_seeds(groups, has_range=has_range)]


def _of_seeds(groups: Sequence[Group], *, has_range: bool) -> list[str]:
    """How the seeds of a group are averaged, as far as there is anything to average."""
    few, many = ["mean over seeds"], ["interquartile mean over seeds"]
    if has_range:
        few.append("from, to: the least and the greatest of them")
        many.append("from, to: its 95% interval by bootstrap")
    has_few, has_many = kinds_of_centre(groups)
    lines = ["; ".join(many)] if has_many else []
    if has_few:
        below = f"below {LEAST_RUNS_FOR_INTERVAL} seeds: " if has_many else ""
        lines.append(below + "; ".join(few))
    return lines


def headline(groups: Sequence[Group], metrics: Mapping[str, np.ndarray]) -> str:
    """Each metric's centre, or the range of its centres where there are several groups.

    Args:
      groups: of the runs.
      metrics: of one evaluation, `[R]` each.
    """
    shown = []
    for metric in METRICS:
        if not metric.headline or metric.name not in metrics:
            continue
        values = metrics[metric.name][:, None]
        centres = np.array([estimate(group.values(values)).centre[0] for group in groups])
        # Runs that have diverged have no number, nor have schemes without this metric.
        centres = centres[np.isfinite(centres)]
        if len(centres):
            about = ABOUT if metric.error in metrics else ""
            ends = [f"{end:{metric.format}}" for end in (centres.min(), centres.max())]
            text = about + " to ".join(dict.fromkeys(ends))
            shown.append(f"  {metric.headline.format(text)}")
    return "".join(shown)
