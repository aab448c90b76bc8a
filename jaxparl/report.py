"""What a person sees while training and after: a progress line and a closing table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jaxparl.config import Config
from jaxparl.records import interval
from jaxparl.sweep import Progress, RunId

_CONSOLE = Console(highlight=False)
_LOG_LINES = 10
_COLUMNS = (
    "game",
    "principal",
    "exact",
    "of exact",
    "interval",
    "worst",
    "agent",
    "exact",
    "right",
    "held",
)


def announce(
    environment: str, preset: str, runs: Sequence[RunId], config: Config, path: Path
) -> None:
    """Says what is about to happen."""
    games = len({run.game for run in runs})
    _CONSOLE.print(
        f"[bold]{environment}[/] ({preset}): {games} games x {len(runs) // games} seeds, "
        f"{config.iterations:,} iterations each; critics {config.critic}, "
        f"outcomes {config.outcome_model}, nudge {config.rates.nudge}",
        soft_wrap=True,
    )
    _CONSOLE.print(f"results in {path}; compiling ...", soft_wrap=True)


class ProgressLine:
    """A line that shows how far training is, how fast, and when it ends.

    On a terminal it is redrawn in place; elsewhere a line is printed every tenth of the way.
    """

    def __init__(self, config: Config, num_runs: int, compile_seconds: float):
        self._chunks = config.iterations // config.evaluation_interval
        self._iterations = config.evaluation_interval * num_runs
        self._bar = Bar(
            TextColumn("training"), BarColumn(), TextColumn("{task.description}"), console=_CONSOLE
        )
        self._task: TaskID | None = None
        _CONSOLE.print(f"compiled in {compile_seconds:.1f} s")

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
            f"  utility {np.mean(progress.metrics.utility_ratio):.1%} of the equilibrium's"
            f"  {np.mean(progress.metrics.recommendation_accuracy):.1%} right"
        )
        if self._task is not None:
            self._bar.update(self._task, completed=progress.chunk, description=text)
        elif progress.chunk * _LOG_LINES // self._chunks != (
            (progress.chunk - 1) * _LOG_LINES // self._chunks
        ):
            _CONSOLE.print(f"training {text}", soft_wrap=True)


def closing_table(
    runs: Sequence[RunId], curves: Mapping[str, np.ndarray], timing: Mapping[str, float]
) -> None:
    """Prints what was learned beside what is exact, per game; curves are `[R, evaluations]`."""
    table = Table(
        title="Learned beside exact: the last evaluation",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    last = {name: values[:, -1] for name, values in curves.items()}
    games = sorted({run.game for run in runs})
    for game in games:
        chosen = np.array([run.game == game for run in runs])
        table.add_row(str(game), *_cells({name: values[chosen] for name, values in last.items()}))
    if len(games) > 1:
        table.add_section()
        table.add_row("all", *_cells(last))
    _CONSOLE.print(table)
    _CONSOLE.print(
        "principal, agent: their utilities; interval: 95%, over runs\n"
        "right: recommendations that are the equilibrium's\n"
        "held: states where an exactly optimal agent does what it is asked"
    )
    _CONSOLE.print(
        f"{timing['iterations_per_second']:,.0f} iterations/s in all: "
        f"{timing['train_seconds']:.0f} s of training after "
        f"{timing['compile_seconds']:.1f} s of compiling"
    )


def where(path: Path) -> None:
    """Says where the results are."""
    _CONSOLE.print(f"figure, curves and summary: {path}", soft_wrap=True)


def _cells(last: Mapping[str, np.ndarray]) -> list[str]:
    low, high = interval(last["utility_ratio"])
    spread = "" if low is None or high is None else f"± {(high - low) / 2:.1%}"
    return [
        f"{last['principal_utility'].mean():.3f}",
        f"{last['equilibrium_principal_utility'].mean():.3f}",
        f"{last['utility_ratio'].mean():.1%}",
        spread,
        f"{last['utility_ratio'].min():.1%}",
        f"{last['agent_utility'].mean():.3f}",
        f"{last['equilibrium_agent_utility'].mean():.3f}",
        f"{last['recommendation_accuracy'].mean():.1%}",
        f"{last['obedience'].mean():.1%}",
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
