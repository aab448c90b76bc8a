"""What a user sees on the terminal: announcements, a progress line, tables and warnings.

The only file that imports rich. Nothing that is printed is read as rich's markup, because paths and
messages may hold any character.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from jaxparl.config import Config
from jaxparl.experiment.metrics_table import METRICS
from jaxparl.experiment.processes import is_first
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import (
    LEAST_RUNS_FOR_INTERVAL,
    Estimate,
    Group,
    estimate,
    group_runs,
    kinds_of_centre,
)
from jaxparl.training.plan import Plan
from jaxparl.training.runs import AnyRun, RunId
from jaxparl.training.sweep import Progress

_CONSOLE = Console(highlight=False, markup=False, emoji=False)
_ERRORS = Console(highlight=False, markup=False, emoji=False, stderr=True)
# Where there is no terminal to redraw a line on.
_PROGRESS_LINES = 10


class _Column(NamedTuple):
    """A column of the closing table: its title, what it shows of a group's estimate, and how."""

    header: str
    metric: str
    format: str
    show: Callable[[Estimate], np.ndarray] = lambda found: found.centre


def first_process_only() -> None:
    """Silences all processes but the first, where several run one sweep together."""
    _CONSOLE.quiet = _ERRORS.quiet = not is_first()


def announce(
    environment: str, preset: str, runs: Sequence[RunId], config: Config, path: Path
) -> None:
    """Prints what is about to be run."""
    games, settings = len({run.game_id for run in runs}), len({run.own for run in runs})
    sizes = [_count(games, "game")]
    if settings > 1:
        sizes.append(_count(settings, "setting"))
    seeds = len({run.seed for run in runs})
    sizes.append(_count(seeds, "seed"))
    # A part of a sweep need not have every combination.
    if games * settings * seeds != len(runs):
        sizes = [_count(len(runs), "run")]
    about = (
        f" ({preset}): {' x '.join(sizes)}, {config.iterations:,} iterations each; "
        f"critics {config.critic}, outcomes {config.outcome_model}, "
        f"nudge {config.hyper_params.nudge}"
    )
    if settings == 1:
        about += "".join(f", {name} {value}" for name, value in runs[0].own)
    _CONSOLE.print(Text.assemble((environment, "bold"), about), soft_wrap=True)
    _print(f"results in {path}; compiling ...")


def compiled(seconds: float) -> None:
    """Prints that the program is compiled, and what comes next."""
    _print(f"compiled in {seconds:.1f} s; setting up ...")


class ProgressLine:
    """A line that shows how far a stage is, how fast, and when it ends.

    On a terminal it is redrawn in place; elsewhere a line is printed every tenth of the way.

    Args:
      config: of all runs.
      runs: which runs.
      activity: what is being done, `training`.
    """

    def __init__(self, config: Config, runs: Sequence[AnyRun], activity: str):
        self._activity = activity
        self._evaluations = config.num_evaluations
        self._iterations = config.evaluation_interval * len(runs)
        self._groups = group_runs(runs, np.zeros(len(runs), bool))
        self._bar = Bar(
            TextColumn(activity, markup=False),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=_CONSOLE,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressLine:
        if _CONSOLE.is_terminal:
            self._task = self._bar.add_task("", total=self._evaluations)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, metrics: Mapping[str, np.ndarray]) -> None:
        """Shows where the runs stand after an evaluation, with its metrics, `[R]` each."""
        done = progress.evaluations
        share = done / self._evaluations
        left = progress.seconds * (1 / share - 1)
        rate = self._iterations * done / progress.seconds
        headline = _headline(self._groups, metrics)
        text = f"{share:4.0%}  {rate:,.0f} iterations/s  {_clock(left)} left{headline}"
        if self._task is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif done * _PROGRESS_LINES // self._evaluations != (
            (done - 1) * _PROGRESS_LINES // self._evaluations
        ):
            _print(f"{self._activity} {text}")


def closing_table(title: str, groups: Sequence[Group], result: StageResult) -> None:
    """Prints the last evaluation of a stage, what was learned beside what is exact.

    Args:
      title: of the table.
      groups: of its runs; each has a row.
      result: of the stage.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=0)
    last = {name: values[:, -1:] for name, values in result.curves.items()}
    has_range = any(kinds_of_centre(groups))
    columns = [column for column in _columns(has_range=has_range) if column.metric in last]
    # Nothing is cut: in 80 columns the headers are as narrow as the numbers below them.
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(column.header, justify="right", no_wrap=True)
    for group in groups:
        found = {name: estimate(group.values(values)) for name, values in last.items()}
        cells = [_cell(column, found[column.metric]) for column in columns]
        table.add_row(group.name, group.size, *cells)
    _print_table(table)
    legends = [metric.legend for metric in METRICS if metric.legend and metric.name in last]
    _CONSOLE.print("\n".join([*legends, *_statistics_legend(groups, columns)]))
    timing = result.timing
    _print(
        f"{timing['iterations_per_second']:,.0f} iterations/s in all: "
        f"{timing['train_seconds']:.0f} s, after {timing['compile_seconds']:.1f} s of compiling "
        f"and {timing['setup_seconds']:.1f} s of setting up"
    )


def plan(found: Plan) -> None:
    """Prints what a sweep will need."""
    table = Table(box=box.SIMPLE, padding=0)
    stages = [("training", found.training)]
    if found.validation:
        stages.append(("validation", found.validation))
    table.add_column(_count(found.runs, "run"), no_wrap=True)
    for name, _ in stages:
        table.add_column(f"  {name}", justify="right", no_wrap=True)
    needs = [needs for _, needs in stages]
    held = [each.bytes_besides + each.bytes_per_run * found.runs / each.devices for each in needs]
    for name, values in (
        ("devices", [f"{each.devices}" for each in needs]),
        ("side by side on each", [f"{each.lanes}" for each in needs]),
        ("a run holds", [_megabytes(each.bytes_per_run) for each in needs]),
        (f"a device holds, of {_megabytes(found.bytes_per_device)}", map(_megabytes, held)),
        ("runs that fit", [f"{each.most_runs:,}" for each in needs]),
        ("compiling", [_clock(each.compile_seconds) for each in needs]),
        ("setting up", [_clock(each.setup_seconds) for each in needs]),
        ("running, from a short trial", [_clock(each.seconds) for each in needs]),
    ):
        table.add_row(f"{name}  ", *values)
    _print_table(table)
    _CONSOLE.print("times in minutes and seconds, or hours, minutes and seconds")
    if found.most_runs < found.runs:
        warn(f"{found.runs:,} runs do not fit; --seeds and --shard make parts of a sweep")


def stopped(iteration: int, path: Path) -> None:
    """Prints how to resume after a signal."""
    _print(
        f"\nstopped at iteration {iteration:,}; the same command with --out {path} "
        "--resume auto goes on from there"
    )


def interrupted(path: Path) -> None:
    """Prints that the process was interrupted before there was anything to resume."""
    _print(f"\nstopped; no file in {path} is half written")


def finished_already(path: Path) -> None:
    """Prints that there is nothing left to do."""
    _print(f"finished already: {path}")


def finished(path: Path) -> None:
    """Prints where the results are."""
    _print(f"figure, curves and summary: {path}")


def merged(path: Path) -> None:
    """Prints where the whole sweep is."""
    _print(f"merged: {path}")


def note(text: str) -> None:
    """Prints a remark."""
    _print(text)


def warn(text: str) -> None:
    """Prints, to stderr, what a user should know beside what was asked for."""
    _ERRORS.print(f"warning: {text}", soft_wrap=True)


def _print(text: str) -> None:
    _CONSOLE.print(text, soft_wrap=True)


def _print_table(table: Table) -> None:
    """Prints a table; in a file, which has no width, as wide as it is."""
    if not _CONSOLE.is_terminal:
        unlimited = _CONSOLE.options.update(max_width=sys.maxsize)
        table.width = Measurement.get(_CONSOLE, unlimited, table).maximum
    _CONSOLE.print(table, crop=False)


def _columns(*, has_range: bool) -> list[_Column]:
    columns = []
    for metric in METRICS:
        columns.append(_Column(metric.header, metric.name, metric.format))
        if metric.over_runs and has_range:
            columns.append(_Column("from", metric.name, metric.format, lambda found: found.low))
            columns.append(_Column("to", metric.name, metric.format, lambda found: found.high))
    return columns


def _cell(column: _Column, found: Estimate) -> str:
    """What a column shows of the last evaluation of a group; empty where there is no number."""
    value = column.show(found)[-1]
    return "" if np.isnan(value) else f"{value:{column.format}}"


def _statistics_legend(groups: Sequence[Group], columns: Sequence[_Column]) -> list[str]:
    """How the seeds of a group are averaged, as far as there is anything to average."""
    few, many = ["mean over seeds"], ["interquartile mean over seeds"]
    if any(column.header == "from" for column in columns):
        few.append("from, to: the least and the greatest of them")
        many.append("from, to: its 95% interval by bootstrap")
    has_few, has_many = kinds_of_centre(groups)
    lines = ["; ".join(many)] if has_many else []
    if has_few:
        below = f"below {LEAST_RUNS_FOR_INTERVAL} seeds: " if has_many else ""
        lines.append(below + "; ".join(few))
    return lines


def _headline(groups: Sequence[Group], metrics: Mapping[str, np.ndarray]) -> str:
    """Each metric's centre, or the range of its centres where there are several groups."""
    shown = []
    for metric in METRICS:
        if not metric.headline or metric.name not in metrics:
            continue
        values = metrics[metric.name][:, None]
        centres = np.array([estimate(group.values(values)).centre[0] for group in groups])
        # Runs that have diverged have no number, nor have schemes without this metric.
        centres = centres[np.isfinite(centres)]
        if len(centres):
            ends = [f"{end:{metric.format}}" for end in (centres.min(), centres.max())]
            text = " to ".join(dict.fromkeys(ends))
            shown.append(f"  {metric.headline.format(text)}")
    return "".join(shown)


def _megabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e10 else f"{size / 1e6:,.1f} MB"


def _clock(seconds: float) -> str:
    """`0:07`, `12:30` or `1:00:00`; empty where it is unknown."""
    if math.isnan(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
