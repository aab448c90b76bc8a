"""What a user sees on a terminal or in a notebook: progress, tables, warnings.

The only file that imports rich. Nothing that is printed is read as rich's markup, because paths and
messages may hold any character.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from jaxparl.config import Config
from jaxparl.experiment.cell_line import CellLine
from jaxparl.experiment.closing_table import (
    PLUS_MINUS,
    Column,
    closing_columns,
    closing_legends,
    headline,
)
from jaxparl.experiment.processes import is_first
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import Group, group_runs
from jaxparl.training.plan import Plan
from jaxparl.training.runs import AnyRun, RunId
from jaxparl.training.sweep import Progress

_AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
_IN_NOTEBOOK = Console().is_jupyter
if _IN_NOTEBOOK:
    # As text: rich would make an output of its own of every line. IPython asks for colours, as if
    # there were a terminal.
    _AS_IT_IS |= {"force_jupyter": False, "force_terminal": False, "width": Console().width}
_CONSOLE = Console(**_AS_IT_IS)
_ERRORS = Console(**_AS_IT_IS, stderr=True)
# Where there is nothing to redraw a line on.
_PROGRESS_LINES = 10


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

    On a terminal and in a notebook it is redrawn in place; elsewhere a line is printed every tenth
    of the way.

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
        self._cell = CellLine() if _IN_NOTEBOOK else None

    def __enter__(self) -> ProgressLine:
        if _CONSOLE.is_terminal:
            self._task = self._bar.add_task("", total=self._evaluations)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        # It would print an empty line where it has never begun.
        if self._cell is None:
            self._bar.stop()

    def update(self, progress: Progress, metrics: Mapping[str, np.ndarray]) -> None:
        """Shows where the runs stand after an evaluation, with its metrics, `[R]` each."""
        done = progress.evaluations
        share = done / self._evaluations
        left = progress.seconds * (1 / share - 1)
        rate = self._iterations * done / progress.seconds
        learned = headline(self._groups, metrics)
        text = f"{share:4.0%}  {rate:,.0f} iterations/s  {_clock(left)} left{learned}"
        if self._task is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif self._cell is not None:
            self._cell.show(f"{self._activity} {text}", is_last=done == self._evaluations)
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
    for number, block in enumerate(_blocks(closing_columns(groups, result))):
        _print_table(_table(block, title if number == 0 else None))
    _CONSOLE.print("\n".join(closing_legends(groups, result)))
    timing = result.timing
    _print(
        f"{timing['iterations_per_second']:,.0f} iterations/s in all: "
        f"{timing['train_seconds']:.0f} s, after {timing['compile_seconds']:.1f} s of compiling "
        f"and {timing['setup_seconds']:.1f} s of setting up"
    )


def closing_text(groups: Sequence[Group], result: StageResult) -> str:
    """The closing table as text, as wide as it is."""
    table = _table(closing_columns(groups, result))
    written = io.StringIO()
    plain: dict[str, Any] = {**_AS_IT_IS, "width": _width(table), "color_system": None}
    Console(**plain, file=written).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).strip("\n")


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
    if not _has_width():
        table.width = _width(table)
    _CONSOLE.print(table, crop=False)


def _has_width() -> bool:
    return _CONSOLE.is_terminal or _IN_NOTEBOOK


def _width(table: Table) -> int:
    """How wide a table is if nothing of it is cut."""
    unlimited = _CONSOLE.options.update(max_width=sys.maxsize)
    return Measurement.get(_CONSOLE, unlimited, table).maximum


def _table(columns: Sequence[Column], title: str | None = None) -> Table:
    """A table of columns, the first one of names; nothing of it is cut."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=0)
    for number, column in enumerate(columns):
        justify = "left" if number == 0 else "right"
        table.add_column(column.header, justify=justify, no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _blocks(columns: Sequence[Column]) -> list[list[Column]]:
    """The columns in as many tables as it takes for none to be wider than what it is shown on.

    Each has the names of the groups, and an interval stays beside its estimate.
    """
    if not _has_width():
        return [list(columns)]
    names, blocks = list(columns[:1]), [list(columns[:2])]
    for column in columns[2:]:
        block = blocks[-1]
        if len(block) > 1 and _width(_table([*block, column])) > _CONSOLE.width:
            kept = block.pop() if column.header == PLUS_MINUS else None
            blocks.append([*names, *([kept] if kept else [])])
        blocks[-1].append(column)
    return blocks


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
