"""Figures. The only file that imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib
import numpy as np
from cycler import cycler

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from jaxparl.environment import Game
from jaxparl.play import Turn
from jaxparl.records import interval

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_EXACT_COLOUR = "0.35"
# Red and blue first, as the agents of the Coin Game are called.
_AGENT_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_PANELS_IN_A_ROW = 3
# Above 100% by the width of a line.
_ALL = 1.005
_FRAMES_PER_SECOND = 2
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
      percent: whether it is written in percent.
      bottom: where the axis begins; None: at the least that is drawn.
      top: where it ends; None: at the most that is drawn.
    """

    metric: str
    title: str
    exact: str | None = None
    percent: bool = False
    # What is earned without any contract is at least 0; an interval may reach below.
    bottom: float | None = 0.0
    top: float | None = None


# A game's figure has those panels whose metrics its evaluation has.
PANELS = (
    Panel("principal_utility", "Principal's utility", exact="equilibrium_principal_utility"),
    Panel(
        "recommendation_accuracy",
        "Right recommendations",
        percent=True,
        bottom=None,
        top=_ALL,
    ),
    Panel("welfare", "Social welfare", exact="optimal_welfare"),
    Panel("payment_share", "Payments / welfare", exact="equilibrium_payment_share", percent=True),
    Panel("deviation_gain", "Most an agent gains by deviating"),
    Panel("follow_share", "Recommendations followed", percent=True, bottom=None, top=_ALL),
    Panel(
        "own_over_recommended_following",
        "Own over recommended, others follow",
        exact="best_response_over_following",
        bottom=None,
    ),
    Panel("own_over_recommended_own", "Own over recommended, others too", bottom=None),
)


def growth(path: Path, rates: Mapping[str, Mapping[int, float]]) -> None:
    """Draws iterations/s of all runs together against how many there are, a colour per name.

    Args:
      path: of the figure.
      rates: by name, then by the number of runs.
    """
    with plt.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=_COLOURS)}):
        figure, axis = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
        for name, found in rates.items():
            runs = np.array(list(found))
            (line,) = axis.plot(runs, list(found.values()), "o-", markersize=3.5, label=name)
            axis.plot(runs, found[runs[0]] * runs / runs[0], ":", color=line.get_color(), lw=0.8)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        for formatter in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_xlabel("runs at once (dotted: linear growth)")
        axis.set_ylabel("iterations/s, all runs together")
        # What is above the fastest line by far says nothing.
        axis.set_ylim(top=2 * max(max(found.values()) for found in rates.values()))
        figure.legend(loc="outside upper center", ncols=2)
        figure.savefig(path)
        plt.close(figure)


def learning_curves(
    path: Path,
    groups: Sequence[str],
    iterations: np.ndarray,
    curves: Mapping[str, np.ndarray],
) -> None:
    """Draws curves `[R, evaluations]`: a colour per group, mean and 95% interval over its runs."""
    panels = [
        panel if panel.exact in curves else panel._replace(exact=None)
        for panel in PANELS
        if panel.metric in curves
    ]
    names = list(dict.fromkeys(groups))
    columns = min(len(panels), _PANELS_IN_A_ROW)
    rows = -(-len(panels) // columns)
    with plt.rc_context(_STYLE):
        figure, grid = plt.subplots(
            rows, columns, figsize=(4.1 * columns, 3.1 * rows), layout="constrained", squeeze=False
        )
        axes = grid.ravel()
        for axis, panel in zip(axes, panels, strict=False):
            values = curves[panel.metric]
            exact = curves[panel.exact][:, -1] if panel.exact else None
            for colour, name in zip(_cycle(len(names)), names, strict=True):
                chosen = np.array([group == name for group in groups])
                _draw_group(axis, iterations, values[chosen], colour, name)
                if exact is not None:
                    # One optimum for all has no group's colour.
                    shade = _EXACT_COLOUR if np.ptp(exact) == 0 else colour
                    axis.axhline(exact[chosen].mean(), color=shade, linestyle="--", linewidth=1.0)
            _dress(axis, panel, iterations)
        # In the last panel, whose curves leave the corner free, or in the room after it.
        handles = axes[0].get_legend_handles_labels()
        has_exact = any(panel.exact for panel in panels)
        _legend(axes[-1], handles, has_exact, len(groups) // len(names))
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        figure.savefig(path)
        plt.close(figure)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _draw_group(
    axis: Axes, iterations: np.ndarray, values: np.ndarray, colour: str, label: str
) -> None:
    if np.isnan(values).all():
        return  # what this group does not have
    mean = values.mean(axis=0)
    axis.plot(iterations, mean, color=colour, linewidth=1.4, label=label)
    if len(values) > 1:
        low, high = np.array([interval(column) for column in values.T], float).T
        axis.fill_between(iterations, low, high, color=colour, alpha=0.18, linewidth=0)


def _dress(axis: Axes, panel: Panel, iterations: np.ndarray) -> None:
    axis.set_title(panel.title, loc="left", fontsize=10)
    axis.set_xlabel("Iterations")
    axis.set_xlim(0, iterations[-1])
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.set_ylim(panel.bottom, panel.top)
    if panel.percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))


def _legend(axis: Axes, curves: tuple[list[Any], list[str]], has_exact: bool, seeds: int) -> None:
    handles, labels = curves
    if has_exact:
        (line,) = axis.plot([], [], color=_EXACT_COLOUR, linestyle="--", linewidth=1.0)
        handles.append(line)
        labels.append("exact")
    title = f"mean and 95% interval, {seeds} seeds" if seeds > 1 else None
    axis.legend(handles, labels, loc="lower right", title=title, title_fontsize=8, fontsize=8)


def episode(path: Path, env: Game, turns: Turn) -> None:
    """Draws an episode as a GIF: the game, and beside it what is asked for, done, earned and paid.

    Args:
      path: of the GIF.
      env: a game that can draw its states.
      turns: the steps, with a leading axis T.
    """
    turns = jax.tree.map(np.asarray, turns)
    length = len(turns.action)
    sums = {"earned": turns.reward.cumsum(axis=0), "paid": turns.payment.cumsum(axis=0)}
    with plt.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=_AGENT_COLOURS)}):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(7.4, 3.5), layout="constrained", width_ratios=(1, 1.15)
        )

        def frame(step: int) -> None:
            left.clear()
            left.grid(False)
            env.draw(left, jax.tree.map(lambda leaf: leaf[step], turns.game))
            left.set_title(f"step {step + 1} of {length}", loc="left", fontsize=10)
            right.clear()
            right.set(xlim=(0, length), ylim=(0, 1.05 * max(s.max() for s in sums.values())))
            right.set_xlabel("steps")
            right.set_title(_said(env, turns, step), loc="left", fontsize=9, family="monospace")
            for agent in range(turns.action.shape[1]):
                for (what, total), style in zip(sums.items(), ("-", ":"), strict=True):
                    right.plot(
                        np.arange(step + 2),
                        np.concatenate([[0.0], total[: step + 1, agent]]),
                        color=f"C{agent}",
                        linestyle=style,
                        label=f"{what}, agent {agent}",
                    )
            right.legend(loc="upper left", fontsize=8)

        # Without a function of its own the animation would draw the first frame twice.
        animation = FuncAnimation(figure, frame, frames=length, init_func=lambda: None)
        animation.save(path, PillowWriter(fps=_FRAMES_PER_SECOND), dpi=100)
        plt.close(figure)


def _said(env: Game, turns: Turn, step: int) -> str:
    """A line per agent: what it was asked for, what it did, what this brought it."""

    def line(agent: int) -> str:
        asked, done = turns.recommendation[step, agent], turns.action[step, agent]
        label = env.action_labels[asked] if asked >= 0 else "-"
        earned, paid = turns.reward[step, agent], turns.payment[step, agent]
        return (
            f"agent {agent}: asked {label} does {env.action_labels[done]} "
            f"earns {earned:.1f} paid {paid:.2f}"
        )

    return "\n".join(line(agent) for agent in range(turns.action.shape[1]))
