"""Figures. Only this file and `animation` import matplotlib; they leave pyplot alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from jaxparl.experiment.line_styles import LineStyle, legend_text, legend_title, line_styles
from jaxparl.experiment.metrics_table import ABOUT, METRICS, Metric
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import (
    LEAST_RUNS_FOR_INTERVAL,
    Group,
    estimate,
    half_interval,
)

_EXACT_COLOUR = "0.35"
_PANELS_IN_A_ROW = 3
# From here on, a share in full would squeeze its panel.
_LONG_SHARE = 1e3
# What fits below the panels.
_LEGEND_CHARACTERS = 110
_NOTEBOOK_DPI = 100
#: What all figures have in common, as settings of matplotlib.
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 200,
}


class ShownFigure(Figure):
    """A figure that a notebook shows, whether or not pyplot has been imported there."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, dpi=_NOTEBOOK_DPI)
        return written.getvalue()


class _Drawn(NamedTuple):
    """A group, how it is drawn, and the result that its rows are of."""

    group: Group
    style: LineStyle
    result: StageResult


def learning_curves(
    path: Path | None,
    groups: Sequence[Group],
    result: StageResult,
    others: Sequence[tuple[Sequence[Group], StageResult]] = (),
) -> Figure:
    """Draws learning curves: a colour per group, with its centre over seeds and how they vary.

    Below five seeds every run is a thin line, and the thick one is their mean. From five seeds on
    the thick one is the interquartile mean, in the band of its 95% interval. Runs that have
    diverged do not count; they are dotted up to where they did. The panel of a metric that is
    estimated by episodes says so; below five seeds its band is the mean's 95% interval over
    episodes.

    Args:
      path: of the figure; None: it is not written.
      groups: of the runs; each has a colour, or a kind of line, of its own. A scheme has the same
        colour in every game and setting.
      result: whose curves are drawn, a panel for each metric that has one.
      others: groups of runs in other folders, and their results, drawn in the same panels.

    Returns:
      The figure, which a notebook shows.
    """
    parts = [(groups, result), *others]
    every = [group for each, _ in parts for group in each]
    curves = {name for _, each in parts for name in each.curves}
    metrics = [metric for metric in METRICS if metric.panel and metric.name in curves]
    columns = min(len(metrics), _PANELS_IN_A_ROW)
    rows = -(-len(metrics) // columns)
    with mpl.rc_context(STYLE):
        styles = line_styles(every)
        legend = _Legend(
            every,
            styles,
            has_exact=any(metric.exact in curves for metric in metrics),
            has_estimates=any(metric.error in curves for metric in metrics),
        )
        results = [each for groups, each in parts for _ in groups]
        drawn = list(map(_Drawn, every, styles, results))
        figure = new_figure(4.1 * columns, 3.1 * rows + legend.height)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, metric in zip(axes, metrics, strict=False):
            _draw_panel(axis, metric, [one for one in drawn if metric.name in one.result.curves])
        for axis in axes[len(metrics) :]:
            axis.set_axis_off()
        legend.draw(figure)
        # Either way all of it is made in this style, ticks included.
        figure.draw_without_rendering() if path is None else figure.savefig(path)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which pyplot does not know."""
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_panel(axis: Axes, metric: Metric, drawn: Sequence[_Drawn]) -> None:
    """Draws one metric of all groups that have it, and its exact value."""
    lines = [_exact_value(metric, one) for one in drawn]
    # An exact value that all groups share has no group's colour; nor has it a scheme's.
    is_shared = len(np.unique([line for line in lines if np.isfinite(line)])) == 1
    for (group, style, result), line in zip(drawn, lines, strict=True):
        curve, errors = result.curves[metric.name], result.curves.get(metric.error)
        _draw_group(axis, result.iterations, curve, group, style)
        if errors is not None:
            _draw_estimates(
                axis, result.iterations, curve, errors, group=group, colour=style["color"]
            )
        if np.isfinite(line):
            has_own = not is_shared and "scheme" not in group.labels
            colour = style["color"] if has_own else _EXACT_COLOUR
            axis.axhline(line, color=colour, linestyle="--", linewidth=1.0)
    _finish_panel(
        axis, metric, max((one.result.iterations for one in drawn), key=lambda it: it[-1])
    )
    if any(metric.error in one.result.curves for one in drawn):
        axis.set_title(f"{ABOUT} {axis.get_title(loc='left')}", loc="left", fontsize=10)


def _exact_value(metric: Metric, drawn: _Drawn) -> float:
    """The exact value of a metric in the game of a group; NaN where there is none."""
    exact = drawn.result.curves.get(metric.exact)
    return np.nan if exact is None else float(estimate(drawn.group.values(exact)).centre[-1])


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
        _draw_band(axis, iterations, (found.low, found.centre, found.high), style["color"])
    axis.plot(iterations, found.centre, **style, linewidth=1.6, marker=marker, markersize=5)


def _draw_estimates(
    axis: Axes,
    iterations: np.ndarray,
    curve: np.ndarray,
    errors: np.ndarray,
    *,
    group: Group,
    colour: str,
) -> None:
    """Draws how certain the estimates of a few seeds are; the band of many seeds has it in it.

    Args:
      axis: of the panel.
      iterations: of the evaluations.
      curve: the estimates of all groups, `[R, evaluations]`.
      errors: their standard errors, likewise.
      group: whose are drawn.
      colour: of the group.
    """
    if group.num_sound < LEAST_RUNS_FOR_INTERVAL:
        centre = estimate(group.values(curve)).centre
        half = half_interval(group.values(errors))
        _draw_band(axis, iterations, (centre - half, centre, centre + half), colour)


def _draw_band(
    axis: Axes,
    iterations: np.ndarray,
    interval: tuple[np.ndarray, np.ndarray, np.ndarray],
    colour: str,
) -> None:
    """Draws an interval, from its lower end over its centre to its upper end, `[evaluations]`."""
    low, centre, high = interval
    if len(iterations) == 1:
        ends = np.stack([centre - low, high - centre])
        axis.errorbar(iterations, centre, ends, color=colour, linewidth=1.0)
    axis.fill_between(iterations, low, high, color=colour, alpha=0.18, linewidth=0)


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

    def __init__(
        self,
        groups: Sequence[Group],
        styles: Sequence[LineStyle],
        *,
        has_exact: bool,
        has_estimates: bool,
    ):
        self._handles = [
            Line2D([], [], **style, linewidth=1.6, label=legend_text(group))
            for group, style in zip(groups, styles, strict=True)
        ]
        if has_exact:
            line = Line2D([], [], color=_EXACT_COLOUR, linestyle="--", linewidth=1.0, label="exact")
            self._handles.append(line)
        self._title = legend_title(groups, has_estimates=has_estimates)
        widest = max(len(str(handle.get_label())) for handle in self._handles)
        self._columns = max(1, min(len(self._handles), _LEGEND_CHARACTERS // (widest + 9)))
        rows = -(-len(self._handles) // self._columns) + len(self._title.splitlines())
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
