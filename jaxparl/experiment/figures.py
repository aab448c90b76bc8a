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
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from jaxparl.environment import Environment
from jaxparl.evaluation.rollouts import Step
from jaxparl.experiment.line_styles import (
    COLOURS,
    LineStyle,
    legend_text,
    legend_title,
    line_styles,
)
from jaxparl.experiment.metrics_table import METRICS, Metric
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import LEAST_RUNS_FOR_INTERVAL, Group, estimate

_EXACT_COLOUR = "0.35"
# Red and blue first, as the agents of the Coin Game are called.
_AGENT_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_PANELS_IN_A_ROW = 3
# From here on, a share in full would squeeze its panel.
_LONG_SHARE = 1e3
# What fits below the panels.
_LEGEND_CHARACTERS = 110
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


def learning_curves(path: Path, groups: Sequence[Group], result: StageResult) -> Figure:
    """Draws learning curves: a colour per group, with its centre over seeds and how they vary.

    Below five seeds every run is a thin line, and the thick one is their mean. From five seeds on
    the thick one is the interquartile mean, in the band of its 95% interval. Runs that have
    diverged do not count; they are dotted up to where they did.

    Args:
      path: of the figure.
      groups: of the runs; each has a colour, or a kind of line, of its own. A scheme has the same
        colour in every game and setting.
      result: whose curves are drawn, a panel for each metric that has one.

    Returns:
      The figure that was written.
    """
    metrics = [metric for metric in METRICS if metric.panel and metric.name in result.curves]
    columns = min(len(metrics), _PANELS_IN_A_ROW)
    rows = -(-len(metrics) // columns)
    with mpl.rc_context(_STYLE):
        styles = line_styles(groups)
        legend = _Legend(groups, styles, any(metric.exact in result.curves for metric in metrics))
        figure = _figure(4.1 * columns, 3.1 * rows + legend.height)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, metric in zip(axes, metrics, strict=False):
            _draw_panel(axis, metric, groups, styles, result)
        for axis in axes[len(metrics) :]:
            axis.set_axis_off()
        legend.draw(figure)
        figure.savefig(path)
    return figure


def throughput(path: Path, rates: Mapping[str, Mapping[int, float]]) -> None:
    """Draws iterations/s of all runs together against their number, a colour per name.

    Args:
      path: of the figure.
      rates: by name, then by the number of runs.
    """
    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=COLOURS)}):
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


def _draw_panel(
    axis: Axes,
    metric: Metric,
    groups: Sequence[Group],
    styles: Sequence[LineStyle],
    result: StageResult,
) -> None:
    """Draws one metric of all groups, and its exact value."""
    curve, exact = result.curves[metric.name], result.curves.get(metric.exact)
    lines = np.full(len(groups), np.nan)
    if exact is not None:
        lines[:] = [estimate(group.values(exact)).centre[-1] for group in groups]
    # An exact value that all groups share has no group's colour; nor has it a scheme's.
    is_shared = len(np.unique(lines[np.isfinite(lines)])) == 1
    for group, style, line in zip(groups, styles, lines, strict=True):
        _draw_group(axis, result.iterations, curve, group, style)
        if np.isfinite(line):
            has_own = not is_shared and "scheme" not in group.labels
            colour = style["color"] if has_own else _EXACT_COLOUR
            axis.axhline(line, color=colour, linestyle="--", linewidth=1.0)
    _finish_panel(axis, metric, result.iterations)


def _draw_group(
    axis: Axes, iterations: np.ndarray, curve: np.ndarray, group: Group, style: LineStyle
) -> None:
    """Draws a metric of all runs of a group, of the values of all groups `[R, evaluations]`."""
    # A curve of one evaluation is a point.
    marker = "o" if len(iterations) == 1 else None
    values = group.values(curve)
    found = estimate(values)
    if len(values) and not found.num_runs.any():
        return  # this group does not have this metric
    for row in group.rows[~group.sound]:
        axis.plot(iterations, curve[row], color=style["color"], linestyle=":", linewidth=0.8)
        _mark_end(axis, iterations, curve[row], style["color"])
    if not len(values):
        return
    if 1 < len(values) < LEAST_RUNS_FOR_INTERVAL:
        for run in values:
            axis.plot(
                iterations,
                run,
                color=style["color"],
                linewidth=0.6,
                alpha=0.6,
                marker=marker,
                markersize=2.5,
            )
    if len(values) >= LEAST_RUNS_FOR_INTERVAL:
        if marker:
            ends = np.stack([found.centre - found.low, found.high - found.centre])
            axis.errorbar(iterations, found.centre, ends, color=style["color"], linewidth=1.0)
        axis.fill_between(
            iterations, found.low, found.high, color=style["color"], alpha=0.18, linewidth=0
        )
    axis.plot(iterations, found.centre, **style, linewidth=1.6, marker=marker, markersize=5)


def _mark_end(axis: Axes, iterations: np.ndarray, run: np.ndarray, colour: str) -> None:
    """Marks with a cross where a run has diverged; before its first evaluation, in the corner."""
    last = np.flatnonzero(np.isfinite(run))[-1:]
    if last.size:
        axis.plot(iterations[last], run[last], "x", color=colour, markersize=5)
    else:
        options = {"transform": axis.transAxes, "clip_on": False, "zorder": 3}
        axis.scatter(0, 0, s=25, c=colour, marker="x", linewidth=1.0, **options)


def _finish_panel(axis: Axes, metric: Metric, iterations: np.ndarray) -> None:
    assert metric.panel is not None
    axis.set_title(metric.panel.title, loc="left", fontsize=10)
    axis.set_xlabel("Iterations")
    axis.set_ylabel(metric.unit)
    # One evaluation stands in the middle.
    axis.set_xlim(0, iterations[-1] if len(iterations) > 1 else 2 * iterations[-1])
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    bottom = metric.panel.bottom
    if bottom is not None:
        lines = [np.asarray(line.get_ydata(), float) for line in axis.lines]
        drawn = np.concatenate([np.empty(0), *lines])
        # An axis that begins at 0 must not hide what is below.
        bottom = None if (drawn < bottom).any() else bottom
    axis.set_ylim(bottom, metric.panel.top)
    if metric.is_percent:
        is_long = max(map(abs, axis.get_ylim())) >= _LONG_SHARE
        short = FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
        axis.yaxis.set_major_formatter(short if is_long else PercentFormatter(1.0))


class _Legend:
    """The legend of learning curves, below all panels, where it covers no curve."""

    def __init__(self, groups: Sequence[Group], styles: Sequence[LineStyle], has_exact: bool):
        self._handles = [
            Line2D([], [], **style, linewidth=1.6, label=legend_text(group))
            for group, style in zip(groups, styles, strict=True)
        ]
        if has_exact:
            line = Line2D([], [], color=_EXACT_COLOUR, linestyle="--", linewidth=1.0, label="exact")
            self._handles.append(line)
        self._title = legend_title(groups)
        widest = max(len(str(handle.get_label())) for handle in self._handles)
        self._columns = max(1, min(len(self._handles), _LEGEND_CHARACTERS // (widest + 9)))
        rows = -(-len(self._handles) // self._columns) + bool(self._title)
        #: Inches that the figure needs for it.
        self.height = 0.2 * rows + 0.1

    def draw(self, figure: Figure) -> None:
        """Adds it to a figure."""
        figure.legend(
            handles=self._handles,
            loc="outside lower center",
            ncols=self._columns,
            title=self._title,
            title_fontsize=8,
            fontsize=8,
            # So long that dots are seen.
            handlelength=4,
        )


def _draw_sums(axis: Axes, steps: Step, step: int) -> None:
    """What every agent has earned and was paid, until this step."""
    length, num_agents = steps.action.shape
    sums = {"earned": steps.reward.cumsum(axis=0), "paid": steps.payment.cumsum(axis=0)}
    most = max(total.max() for total in sums.values())
    least = min(0.0, *(total.min() for total in sums.values()))
    # Where nobody earns anything, the axis still needs a height.
    axis.set(xlim=(0, length), ylim=(1.05 * least, 1.05 * most if most > 0 else 1.0))
    axis.set_xlabel("steps")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
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
