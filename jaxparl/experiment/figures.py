"""Figures and animations. The only file that imports matplotlib; it leaves pyplot alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from jaxparl.environment import Environment
from jaxparl.evaluation.rollouts import Step
from jaxparl.experiment.metrics_table import METRICS, Metric
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import interval

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_EXACT_COLOUR = "0.35"
# Red and blue first, as the agents of the Coin Game are called.
_AGENT_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_PANELS_IN_A_ROW = 3
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


def learning_curves(path: Path, groups: Sequence[str], result: StageResult) -> Figure:
    """Draws learning curves: a colour per group, with the mean and 95% interval over its runs.

    Args:
      path: of the figure.
      groups: the group of each run, `[R]`.
      result: whose curves are drawn, a panel for each metric that has one.

    Returns:
      The figure that was written.
    """
    curves = result.curves
    metrics = [metric for metric in METRICS if metric.panel and metric.name in curves]
    names = list(dict.fromkeys(groups))
    columns = min(len(metrics), _PANELS_IN_A_ROW)
    rows = -(-len(metrics) // columns)
    with mpl.rc_context(_STYLE):
        figure = _figure(4.1 * columns, 3.1 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, metric in zip(axes, metrics, strict=False):
            exact = curves[metric.exact][:, -1] if metric.exact in curves else None
            for colour, name in zip(_cycle(len(names)), names, strict=True):
                chosen = np.array([group == name for group in groups])
                values = curves[metric.name][chosen]
                _draw_group(axis, result.iterations, values, label=name, colour=colour)
                if exact is not None:
                    # An exact value that all groups share has no group's colour.
                    shade = _EXACT_COLOUR if np.ptp(exact) == 0 else colour
                    axis.axhline(exact[chosen].mean(), color=shade, linestyle="--", linewidth=1.0)
            _finish_panel(axis, metric, result.iterations)
        # In the last panel, whose curves leave the corner free, or in the gap after it.
        handles = axes[0].get_legend_handles_labels()
        has_exact = any(metric.exact in curves for metric in metrics)
        _draw_legend(axes[-1], handles, has_exact, len(groups) // len(names))
        for axis in axes[len(metrics) :]:
            axis.set_axis_off()
        figure.savefig(path)
    return figure


def growth(path: Path, rates: Mapping[str, Mapping[int, float]]) -> None:
    """Draws iterations/s of all runs together against their number, a colour per name.

    Args:
      path: of the figure.
      rates: by name, then by the number of runs.
    """
    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=_COLOURS)}):
        figure = _figure(5.2, 3.6)
        axis = figure.subplots()
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
        # Where the dotted lines leave the fastest one far below, they say nothing more.
        axis.set_ylim(top=2 * max(max(found.values()) for found in rates.values()))
        figure.legend(loc="outside upper center", ncols=2)
        figure.savefig(path)


def episode(path: Path, env: Environment, steps: Step) -> None:
    """Draws an episode as a GIF: the game, and beside it recommendations, actions and payments.

    Args:
      path: of the GIF.
      env: a game that can draw its states.
      steps: the steps of the episode, with a leading axis T.
    """
    steps = jax.tree.map(np.asarray, steps)
    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=_AGENT_COLOURS)}):
        figure = _figure(7.4, 3.5)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))

        def frame(step: int) -> None:
            left.clear()
            left.grid(False)
            env.draw(left, jax.tree.map(lambda leaf: leaf[step], steps.env_state))
            left.set_title(f"step {step + 1} of {len(steps.action)}", loc="left", fontsize=10)
            right.clear()
            _draw_sums(right, steps, step)
            title = _describe_step(env, steps, step)
            right.set_title(title, loc="left", fontsize=9, family="monospace")

        # Without an init_func of its own the animation would draw the first frame twice.
        length = len(steps.action)
        animation = FuncAnimation(figure, frame, frames=length, init_func=lambda: None)
        animation.save(path, PillowWriter(fps=_FRAMES_PER_SECOND), dpi=100)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _draw_group(
    axis: Axes, iterations: np.ndarray, values: np.ndarray, *, label: str, colour: str
) -> None:
    if np.isnan(values).all():
        return  # this group does not have this metric
    mean = values.mean(axis=0)
    axis.plot(iterations, mean, color=colour, linewidth=1.4, label=label)
    if len(values) > 1:
        low, high = np.array([interval(column) for column in values.T], float).T
        axis.fill_between(iterations, low, high, color=colour, alpha=0.18, linewidth=0)


def _finish_panel(axis: Axes, metric: Metric, iterations: np.ndarray) -> None:
    assert metric.panel is not None
    axis.set_title(metric.panel.title, loc="left", fontsize=10)
    axis.set_xlabel("Iterations")
    axis.set_xlim(0, iterations[-1])
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_ylim(metric.panel.bottom, metric.panel.top)
    if metric.is_percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))


def _draw_legend(
    axis: Axes, curves: tuple[list[Any], list[str]], has_exact: bool, seeds: int
) -> None:
    handles, labels = curves
    if has_exact:
        (line,) = axis.plot([], [], color=_EXACT_COLOUR, linestyle="--", linewidth=1.0)
        handles.append(line)
        labels.append("exact")
    title = f"mean and 95% interval, {seeds} seeds" if seeds > 1 else None
    axis.legend(handles, labels, loc="lower right", title=title, title_fontsize=8, fontsize=8)


def _draw_sums(axis: Axes, steps: Step, step: int) -> None:
    """What every agent has earned and was paid, until this step."""
    length, num_agents = steps.action.shape
    sums = {"earned": steps.reward.cumsum(axis=0), "paid": steps.payment.cumsum(axis=0)}
    axis.set(xlim=(0, length), ylim=(0, 1.05 * max(total.max() for total in sums.values())))
    axis.set_xlabel("steps")
    for agent in range(num_agents):
        for (kind, total), style in zip(sums.items(), ("-", ":"), strict=True):
            axis.plot(
                np.arange(step + 2),
                np.concatenate([[0.0], total[: step + 1, agent]]),
                color=f"C{agent}",
                linestyle=style,
                label=f"{kind}, agent {agent}",
            )
    axis.legend(loc="upper left", fontsize=8)


def _describe_step(env: Environment, steps: Step, step: int) -> str:
    """A line per agent: what was recommended, what it did, what it earned and was paid."""

    def line(agent: int) -> str:
        asked, done = steps.recommendation[step, agent], steps.action[step, agent]
        label = env.action_labels[asked] if asked >= 0 else "-"
        earned, paid = steps.reward[step, agent], steps.payment[step, agent]
        return (
            f"agent {agent}: asked {label} does {env.action_labels[done]} "
            f"earns {earned:.1f} paid {paid:.2f}"
        )

    return "\n".join(line(agent) for agent in range(steps.action.shape[1]))
