"""How the groups of a figure are told apart: by colours and kinds of lines, and in its legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxparl.experiment.metrics_table import ABOUT
from jaxparl.experiment.statistics import LEAST_RUNS_FOR_INTERVAL, Group, kinds_of_centre

#: Okabe and Ito's, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Options of a line, as Matplotlib calls them.
LineStyle = dict[str, Any]


def line_styles(groups: Sequence[Group]) -> list[LineStyle]:
    """The colour of every group, and the kind of its line.

    A scheme has the same colour in every game and setting, and these have kinds of lines. Without
    schemes every group has a colour of its own, as far as there are colours.

    Examples:
      >>> import numpy as np
      >>> from jaxparl.experiment.statistics import group_runs
      >>> from jaxparl.training.runs import RunId, ValidationRun
      >>> runs = [ValidationRun(name, RunId(game, 0)) for name in "ab" for game in (0, 1)]
      >>> [style["color"] for style in line_styles(group_runs(runs, np.zeros(4, bool)))]
      ['#0072B2', '#0072B2', '#D55E00', '#D55E00']
    """
    hues, kinds = [], []
    for number, group in enumerate(groups):
        others = {name: value for name, value in group.labels.items() if name != "scheme"}
        has_scheme = others != group.labels
        hues.append(group.labels["scheme"] if has_scheme else number)
        kinds.append(tuple(others.items()) if has_scheme else ())
    hue_numbers, kind_numbers = _numbered(hues), _numbered(kinds)
    rounds_per_kind = -(-len(hue_numbers) // len(COLOURS))
    styles = []
    for hue, kind in zip(hues, kinds, strict=True):
        rounds, colour = divmod(hue_numbers[hue], len(COLOURS))
        rounds += rounds_per_kind * kind_numbers[kind]
        # Only exact values are dashed without dots.
        dots = (0, (4, 2) + (1, 2) * rounds) if rounds else "-"
        styles.append({"color": COLOURS[colour], "linestyle": dots})
    return styles


def _numbered(values: Sequence[Any]) -> dict[Any, int]:
    """The place of every value among those that differ, in the order in which they come."""
    return {value: number for number, value in enumerate(dict.fromkeys(values))}


def legend_text(group: Group) -> str:
    """What the legend calls a group, with the number of its runs.

    Examples:
      >>> import numpy as np
      >>> legend_text(Group("tree 0", {}, np.arange(2), [0, 1], np.array([True, False])))
      'tree 0 (1 of 2 seeds, 1 diverged)'
    """
    diverged = f", {group.num_diverged} diverged" if group.num_diverged else ""
    return f"{group.name} ({group.size}{diverged})"


def legend_title(groups: Sequence[Group], *, has_estimates: bool = False) -> str:
    """What lines and bands are, as far as any group has several runs, or there are estimates.

    Examples:
      >>> import numpy as np
      >>> legend_title([Group("tree 0", {}, np.arange(2), [0, 1], np.array([True, True]))])
      'thick: mean over seeds; thin: each seed'
    """
    few = "thick: mean over seeds; thin: each seed"
    many = "interquartile mean over seeds, and its 95% bootstrap interval"
    lines = {
        (True, True): f"{many} (below {LEAST_RUNS_FOR_INTERVAL} seeds {few})",
        (True, False): few,
        (False, True): many,
        (False, False): "",
    }[kinds_of_centre(groups)]
    cross = "" if all(group.sound.all() for group in groups) else "cross: diverged"
    line = "; ".join(filter(None, (lines, cross)))
    if not has_estimates:
        return line
    is_few = min(group.num_sound for group in groups) < LEAST_RUNS_FOR_INTERVAL
    band = ", with the 95% interval over them" if is_few else ""
    return "\n".join(filter(None, (line, f"{ABOUT}: estimated by episodes{band}")))
