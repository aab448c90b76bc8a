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
from jaxparl.experiment.statistics import half_interval
from jaxparl.training.plan import Plan
from jaxparl.training.runs import RunId
from jaxparl.training.sweep import Progress

_CONSOLE = Console(highlight=False, markup=False, emoji=False)
_ERRORS = Console(highlight=False, markup=False, emoji=False, stderr=True)
# Where there is no terminal to redraw a line on.
_PROGRESS_LINES = 10


class _Column(NamedTuple):
    """A column of the closing table: its title, what it shows of the runs' values, and how."""

    header: str
    metric: str
    format: str
    reduce: Callable[[np.ndarray], float] = np.mean


def first_process_only() -> None:
    """Silences all processes but the first, where several run one sweep together."""
    _CONSOLE.quiet = _ERRORS.quiet = not is_first()


def announce(
    environment: str, preset: str, runs: Sequence[RunId], config: Config, path: Path
) -> None:
    """Prints what is about to be run."""
    games, settings = len({run.game_id for run in runs}), len({run.hyper_params for run in runs})
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
      num_runs: R.
      activity: what is being done, `training`.
    """

    def __init__(self, config: Config, num_runs: int, activity: str):
        self._activity = activity
        self._evaluations = config.num_evaluations
        self._iterations = config.evaluation_interval * num_runs
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
        text = f"{share:4.0%}  {rate:,.0f} iterations/s  {_clock(left)} left{_headline(metrics)}"
        if self._task is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif done * _PROGRESS_LINES // self._evaluations != (
            (done - 1) * _PROGRESS_LINES // self._evaluations
        ):
            _print(f"{self._activity} {text}")


def closing_table(
    title: str, groups: Sequence[str], result: StageResult, *, has_total: bool = True
) -> None:
    """Prints the last evaluation of a stage, what was learned beside what is exact.

    Args:
      title: of the table.
      groups: the group of each run, `[R]`; a group has a row.
      result: of the stage.
      has_total: whether a row for all groups together means anything.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=0)
    last = {name: values[:, -1] for name, values in result.curves.items()}
    columns = [column for column in _columns() if column.metric in last]
    # Nothing is cut: in 80 columns the headers are as narrow as the numbers below them.
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.header, justify="right", no_wrap=True)
    names = list(dict.fromkeys(groups))
    for name in names:
        chosen = np.array([group == name for group in groups])
        table.add_row(name, *_cells(columns, last, chosen))
    if has_total and len(names) > 1:
        table.add_section()
        table.add_row("all", *_cells(columns, last, np.full(len(groups), True)))
    _print_table(table)
    _CONSOLE.print(
        "\n".join(metric.legend for metric in METRICS if metric.legend and metric.name in last)
    )
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


def _columns() -> list[_Column]:
    columns = []
    for metric in METRICS:
        columns.append(_Column(metric.header, metric.name, metric.format))
        if metric.over_runs:
            columns.append(_Column("±", metric.name, metric.format, half_interval))
            columns.append(_Column("worst", metric.name, metric.format, np.min))
    return columns


def _cells(
    columns: Sequence[_Column], last: Mapping[str, np.ndarray], chosen: np.ndarray
) -> list[str]:
    """A row: of the `chosen` runs, those that have a number."""
    cells = []
    for column in columns:
        values = last[column.metric][chosen]
        values = values[np.isfinite(values)]
        value = column.reduce(values) if len(values) else np.nan
        cells.append("" if np.isnan(value) else f"{value:{column.format}}")
    return cells


def _headline(metrics: Mapping[str, np.ndarray]) -> str:
    shown = []
    for metric in METRICS:
        values = metrics.get(metric.name, np.empty(0))
        # Runs that have diverged have no number, nor have schemes without this metric.
        values = values[np.isfinite(values)]
        if metric.headline and len(values):
            shown.append(f"  {metric.headline.format(np.mean(values))}")
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
