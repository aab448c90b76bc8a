"""Tables in Markdown: their lines, numbers, and estimates with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxparl.experiment.statistics import LEAST_RUNS_FOR_INTERVAL, estimate


class Column(NamedTuple):
    """A column: what stands above it, the metric that it shows, and how a number is written."""

    head: str
    metric: str
    form: str


#: The metrics of each seed: seed -> name -> value; None where it is undefined.
BySeed = Mapping[str, Mapping[str, float | None]]


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def number(value: float | None, form: str = ".3f") -> str:
    """A value as it is shown; nothing where it is undefined."""
    return "" if value is None else format(value, form)


def seed_lines(seeds: BySeed, columns: Sequence[Column]) -> list[list[str]]:
    """A line for each seed."""
    return [
        [seed, *(number(values.get(metric), form) for _, metric, form in columns)]
        for seed, values in seeds.items()
    ]


def estimates(seeds: BySeed, columns: Sequence[Column]) -> list[str]:
    """A cell for each column, of all seeds: `1.2 (1.1 to 1.3)`."""
    return [estimate_of(values_of(seeds, metric), form) for _, metric, form in columns]


def estimate_of(values: np.ndarray, form: str) -> str:
    """The centre of the seeds and its interval, of fewer than five their range; or nothing.

    Examples:
      >>> estimate_of(np.array([0.5, 0.6, 0.7]), ".1f")
      '0.6 (0.5 to 0.7)'
      >>> estimate_of(np.array([0.5]), ".1f")
      '0.5'
    """
    if not len(values):
        return ""
    centre, low, high = interval(values)
    ends = f" ({low:{form}} to {high:{form}})" if len(values) > 1 else ""
    return f"{centre:{form}}{ends}"


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """The centre of the seeds, and its 95% interval; of fewer than five, their range."""
    found = estimate(values[:, None])
    return found.centre.item(), found.low.item(), found.high.item()


def values_of(seeds: BySeed, metric: str) -> np.ndarray:
    """A metric of all seeds that have it."""
    return known(values.get(metric) for values in seeds.values())


def known(values: Iterable[float | None]) -> np.ndarray:
    """Those that are defined."""
    return np.array([value for value in values if value is not None], float)


def least(seeds: BySeed, metric: str) -> float:
    """A metric of the worst seed, see `worst`.

    Examples:
      >>> least({"0": {"share": 0.9}, "1": {"share": None}}, "share")
      0.0
    """
    return worst(values.get(metric) for values in seeds.values())


def worst(values: Iterable[float | None]) -> float:
    """The least; of a seed that has none, as one that diverged, it counts as 0."""
    return min(value or 0.0 for value in values)


def ratio(value: float | None, whole: float | None) -> float | None:
    """One over the other; None where one of them is undefined."""
    return None if value is None or whole is None else value / whole


def by_seed(
    group: Mapping[str, Any], *, quarters: bool = False
) -> dict[str, dict[str, float | None]]:
    """The last values of the metrics of a group in summary.json or validation.json.

    With `quarters` their means over the last quarter of the evaluations are among them.
    """
    names = [name for name in group["metrics"] if quarters or not name.endswith("_last_quarter")]
    return {
        str(seed): {name: group["metrics"][name]["per_run"][str(seed)] for name in names}
        for seed in group["seeds"]
    }


def what_a_cell_says(count: int) -> str:
    """How estimates of so many seeds are to be read.

    Examples:
      >>> what_a_cell_says(3)
      'mean of 3 seeds, and their range'
    """
    if count == 1:
        return "1 seed"
    if count < LEAST_RUNS_FOR_INTERVAL:
        return f"mean of {count} seeds, and their range"
    return f"interquartile mean of {count} seeds, and its 95% interval over them"


def measured_on(found: Mapping[str, Any]) -> str:
    """The machine and the versions."""
    where, versions = found["machine"], found["versions"]
    devices = ", ".join(where["devices"])
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{where['processor']}, {where['cores']} cores, on {devices}; {software}"
