"""What a person sees while training and after: a progress line and a closing table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jaxparl.config import Config
from jaxparl.plan import Plan
from jaxparl.processes import is_first
from jaxparl.records import half_interval
from jaxparl.runs import RunId
from jaxparl.sweep import Progress

_CONSOLE = Console(highlight=False)
_ERRORS = Console(highlight=False, stderr=True)
_LOG_LINES = 10


class Column(NamedTuple):
    """A column of the closing table.

    Attributes:
      header: its title.
      metric: what is shown in it.
      form: how a number is written.
      reduce: what is shown of the runs' values.
    """

    header: str
    metric: str
    form: str
    reduce: Callable[[np.ndarray], float] = np.mean


# A game's table has those columns whose metrics its evaluation has.
_COLUMNS = (
    Column("principal", "principal_utility", ".3f"),
    Column("exact", "equilibrium_principal_utility", ".3f"),
    Column("of exact", "utility_ratio", ".1%"),
    Column("±", "utility_ratio", ".1%", half_interval),
    Column("worst", "utility_ratio", ".1%", np.min),
    Column("agent", "agent_utility", ".3f"),
    Column("exact", "equilibrium_agent_utility", ".3f"),
    Column("right", "recommendation_accuracy", ".1%"),
    Column("held", "obedience", ".1%"),
    Column("welfare", "welfare", ".3f"),
    Column("best", "optimal_welfare", ".3f"),
    Column("of best", "welfare_ratio", ".1%"),
    Column("±", "welfare_ratio", ".1%", half_interval),
    Column("worst", "welfare_ratio", ".1%", np.min),
    Column("paid", "payment_share", ".1%"),
    Column("least", "equilibrium_payment_share", ".1%"),
    Column("gain", "deviation_gain", ".3f"),
    Column("gain %", "relative_deviation_gain", ".1%"),
    Column("followed", "follow_share", ".1%"),
    Column("own/rec.", "own_over_recommended_following", ".3f"),
    Column("at\nbest", "best_response_over_following", ".3f"),
    Column("both\nown", "own_over_recommended_own", ".3f"),
)
_LEGEND = {
    "utility_ratio": "principal, agent: their utilities; exact: in equilibrium; ±: 95%, over runs",
    "recommendation_accuracy": "right: recommendations that are the equilibrium's",
    "obedience": "held: states where an exactly optimal agent does what it is asked",
    "welfare": "welfare: rewards of all agents per episode",
    "welfare_ratio": "best: the most that it can be",
    "payment_share": "paid: payments over welfare; least: in equilibrium; ±: 95%, over runs",
    "follow_share": "followed: the share of recommendations that black boxes follow",
    "own_over_recommended_following": (
        "own/rec.: utility by one's own policy over following's, the others following"
    ),
    "best_response_over_following": "at best: the same of an exact best response",
    "own_over_recommended_own": "both own: the same while the others play their own policies",
    "deviation_gain": (
        "gain: the most an agent gains by deviating, in rewards per episode, and in %"
    ),
}
# What the progress line says, of the metrics that there are.
_HEADLINES = {
    "utility_ratio": "utility {:.1%} of the equilibrium's",
    "recommendation_accuracy": "{:.1%} right",
    "welfare": "welfare {:.3f}",
    "welfare_ratio": "({:.1%} of the best)",
    "payment_share": "{:.1%} paid",
    "deviation_gain": "{:.2f} to gain",
    "follow_share": "{:.1%} followed",
}


def first_process_only() -> None:
    """Lets the others be silent, where several train one sweep."""
    _CONSOLE.quiet = _ERRORS.quiet = not is_first()


def announce(
    environment: str, preset: str, runs: Sequence[RunId], config: Config, path: Path
) -> None:
    """Says what is about to happen."""
    games, settings = len({run.game for run in runs}), len({run.rates for run in runs})
    sizes = [_count(games, "game")]
    if settings > 1:
        sizes.append(_count(settings, "setting"))
    seeds = len({run.seed for run in runs})
    sizes.append(_count(seeds, "seed"))
    # A part of a sweep need not be a box.
    if games * settings * seeds != len(runs):
        sizes = [_count(len(runs), "run")]
    _CONSOLE.print(
        f"[bold]{environment}[/] ({preset}): {' x '.join(sizes)}, "
        f"{config.iterations:,} iterations each; critics {config.critic}, "
        f"outcomes {config.outcome_model}, nudge {config.rates.nudge}",
        soft_wrap=True,
    )
    _CONSOLE.print(f"results in {path}; compiling ...", soft_wrap=True)


def compiled(seconds: float) -> None:
    """Says that a program is there, and what comes next."""
    _CONSOLE.print(f"compiled in {seconds:.1f} s; setting up ...", soft_wrap=True)


class ProgressLine:
    """A line that shows how far training is, how fast, and when it ends.

    On a terminal it is redrawn in place; elsewhere a line is printed every tenth of the way.
    """

    def __init__(self, config: Config, num_runs: int, what: str):
        self._what = what
        self._chunks = config.iterations // config.evaluation_interval
        self._iterations = config.evaluation_interval * num_runs
        self._bar = Bar(
            TextColumn(what), BarColumn(), TextColumn("{task.description}"), console=_CONSOLE
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressLine:
        if _CONSOLE.is_terminal:
            self._task = self._bar.add_task("", total=self._chunks)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Shows the state after a chunk."""
        share = progress.chunk / self._chunks
        left = progress.seconds * (1 / share - 1)
        rate = self._iterations * progress.chunk / progress.seconds
        text = (
            f"{share:4.0%}  {rate:,.0f} iterations/s  {_clock(left)} left"
            f"{_headline(progress.metrics)}"
        )
        if self._task is not None:
            self._bar.update(self._task, completed=progress.chunk, description=text)
        elif progress.chunk * _LOG_LINES // self._chunks != (
            (progress.chunk - 1) * _LOG_LINES // self._chunks
        ):
            _CONSOLE.print(f"{self._what} {text}", soft_wrap=True)


def closing_table(
    title: str,
    groups: Sequence[str],
    curves: Mapping[str, np.ndarray],
    timing: Mapping[str, float],
    has_total: bool = True,
) -> None:
    """Prints what was learned beside what is exact; curves are `[R, evaluations]`.

    Args:
      title: of the table.
      groups: the group of each run; a group has a row.
      curves: of all runs.
      timing: what took how long.
      has_total: whether a row for all groups together means anything.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=0)
    last = {name: values[:, -1] for name, values in curves.items()}
    columns = [column for column in _COLUMNS if column.metric in last]
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
    _CONSOLE.print(table)
    _CONSOLE.print("\n".join(text for name, text in _LEGEND.items() if name in last))
    _CONSOLE.print(
        f"{timing['iterations_per_second']:,.0f} iterations/s in all: "
        f"{timing['train_seconds']:.0f} s, after {timing['compile_seconds']:.1f} s of compiling "
        f"and {timing['setup_seconds']:.1f} s of setting up",
        soft_wrap=True,
    )


def plan(found: Plan) -> None:
    """Prints what a sweep will need."""
    table = Table(box=box.SIMPLE, padding=0)
    phases = [("training", found.training)]
    if found.validation:
        phases.append(("validation", found.validation))
    table.add_column(_count(found.runs, "run"), no_wrap=True)
    for name, _ in phases:
        table.add_column(f"  {name}", justify="right", no_wrap=True)
    held = [
        needs.bytes_besides + needs.bytes_per_run * found.runs / needs.devices
        for _, needs in phases
    ]
    for name, values in (
        ("devices", [f"{needs.devices}" for _, needs in phases]),
        ("side by side on each", [f"{needs.lanes}" for _, needs in phases]),
        ("a run holds", [_megabytes(needs.bytes_per_run) for _, needs in phases]),
        (f"a device holds, of {_megabytes(found.bytes_per_device)}", map(_megabytes, held)),
        ("runs that fit", [f"{needs.most_runs:,}" for _, needs in phases]),
        ("compiling", [_clock(needs.compile_seconds) for _, needs in phases]),
        ("setting up", [_clock(needs.setup_seconds) for _, needs in phases]),
        ("running, from a short chunk", [_clock(needs.seconds) for _, needs in phases]),
    ):
        table.add_row(f"{name}  ", *values)
    _CONSOLE.print(table)
    _CONSOLE.print("times in minutes and seconds, or hours, minutes and seconds")
    if found.most_runs < found.runs:
        warn(f"{found.runs:,} runs do not fit; --seeds and --shard make parts of a sweep")


def _megabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e10 else f"{size / 1e6:,.1f} MB"


def stopped(iteration: int, path: Path) -> None:
    """Says how to go on after a signal."""
    _CONSOLE.print(
        f"\nstopped at iteration {iteration:,}; the same command with --out {path} "
        "--resume auto goes on from there",
        soft_wrap=True,
    )


def broken_off(path: Path) -> None:
    """Says that nothing is half written."""
    _CONSOLE.print(f"\nstopped; what {path} holds is whole", soft_wrap=True)


def warn(text: str) -> None:
    """Says what a person should know, beside what was asked for."""
    _ERRORS.print(f"warning: {text}", soft_wrap=True)


def already(path: Path) -> None:
    """Says that there is nothing left to do."""
    _CONSOLE.print(f"finished already: {path}", soft_wrap=True)


def where(path: Path) -> None:
    """Says where the results are."""
    _CONSOLE.print(f"figure, curves and summary: {path}", soft_wrap=True)


def _cells(
    columns: Sequence[Column], last: Mapping[str, np.ndarray], chosen: np.ndarray
) -> list[str]:
    """A row: of the chosen runs, those that have a number."""
    cells = []
    for column in columns:
        values = last[column.metric][chosen]
        values = values[np.isfinite(values)]
        value = column.reduce(values) if len(values) else np.nan
        cells.append("" if np.isnan(value) else f"{value:{column.form}}")
    return cells


def _headline(metrics: Mapping[str, np.ndarray]) -> str:
    shown = []
    for name, form in _HEADLINES.items():
        values = metrics.get(name, np.empty(0))
        values = values[np.isfinite(values)]  # some schemes have none, as runs that diverged
        if len(values):
            shown.append(f"  {form.format(np.mean(values))}")
    return "".join(shown)


def _clock(seconds: float) -> str:
    """`0:07`, `12:30` or `1:00:00`; nothing where it is not known."""
    if math.isnan(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
