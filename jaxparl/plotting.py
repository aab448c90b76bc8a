"""Figures. The only file that imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from jaxparl.records import interval
from jaxparl.sweep import RunId

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 200,
}


class Panel(NamedTuple):
    """One panel of a figure.

    Attributes:
      metric: the curve that is drawn.
      title: what it shows.
      exact: the metric whose value is drawn as a dashed line, if there is one.
      share: whether it is a share, drawn in percent up to 100.
    """

    metric: str
    title: str
    exact: str | None = None
    share: bool = False


# A game's figure has those panels whose metrics its evaluation has.
PANELS = (
    Panel("principal_utility", "Principal's utility", exact="equilibrium_principal_utility"),
    Panel("recommendation_accuracy", "Right recommendations", share=True),
    Panel("welfare", "Social welfare", exact="optimal_welfare"),
    Panel("payment_share", "Payments / welfare", exact="equilibrium_payment_share", share=True),
    Panel("deviation_gain", "Most an agent gains by deviating"),
)


def learning_curves(
    path: Path,
    runs: Sequence[RunId],
    iterations: np.ndarray,
    curves: Mapping[str, np.ndarray],
    game_name: str = "game",
) -> None:
    """Draws curves `[R, evaluations]`: a colour per game, mean and 95% interval over its seeds."""
    panels = [
        panel if panel.exact in curves else panel._replace(exact=None)
        for panel in PANELS
        if panel.metric in curves
    ]
    games = sorted({run.game for run in runs})
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4.1 * len(panels), 3.1), layout="constrained", squeeze=False
        )
        for axis, panel in zip(axes[0], panels, strict=True):
            for colour, game in zip(_cycle(len(games)), games, strict=True):
                rows = np.array([run.game == game for run in runs])
                exact = curves[panel.exact][rows][0, -1] if panel.exact else None
                label = f"{game_name} {game}"
                _draw_game(axis, iterations, curves[panel.metric][rows], exact, colour, label)
            _dress(axis, panel, iterations)
        # In the last panel, whose curves leave the corner free.
        has_exact = any(panel.exact for panel in panels)
        _legend(axes[0][-1], has_exact, len(runs) // len(games))
        figure.savefig(path)
        plt.close(figure)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _draw_game(
    axis: Axes,
    iterations: np.ndarray,
    values: np.ndarray,
    exact: float | None,
    colour: str,
    label: str,
) -> None:
    mean = values.mean(axis=0)
    axis.plot(iterations, mean, color=colour, linewidth=1.4, label=label)
    if len(values) > 1:
        low, high = np.array([interval(column) for column in values.T], float).T
        axis.fill_between(iterations, low, high, color=colour, alpha=0.18, linewidth=0)
    if exact is not None:
        axis.axhline(exact, color=colour, linestyle="--", linewidth=1.0)


def _dress(axis: Axes, panel: Panel, iterations: np.ndarray) -> None:
    axis.set_title(panel.title, loc="left", fontsize=10)
    axis.set_xlabel("Iterations")
    axis.set_xlim(0, iterations[-1])
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    if panel.share:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_ylim(top=1.005)
    else:
        # What is earned without any contract is at least 0; an interval may reach below.
        axis.set_ylim(bottom=0.0)


def _legend(axis: Axes, has_exact: bool, seeds: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    if has_exact:
        (line,) = axis.plot([], [], color="0.35", linestyle="--", linewidth=1.0)
        handles.append(line)
        labels.append("exact equilibrium")
    title = f"mean and 95% interval, {seeds} seeds" if seeds > 1 else None
    axis.legend(handles, labels, loc="lower right", title=title, title_fontsize=8, fontsize=8)
