"""What runs have in common, and how certain it is: the only module that averages results.

Only seeds are averaged. Runs form a `Group` if they differ by nothing else, that is, if they have
the same game, settings and scheme; no number stands for several groups. Runs that have diverged are
left out (`results.diverged`), and every number comes with the count of the runs that it is of.

Of five runs or more, the centre is the interquartile mean, and its 95% interval is a percentile
bootstrap over the seeds of the group (Agarwal et al. 2021, arXiv 2108.13264: strata are the groups,
seeds are drawn within each). It never leaves the range of the runs. Of fewer runs no interval is
worth its name: the centre is their mean, and every run is shown beside it.

A metric that is estimated by episodes has a standard error of its own in every run. What that means
for a group is shown beside its centre: a 95% interval of their mean, over episodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from jaxparl.experiment.metrics_table import ERROR_SUFFIX, METRICS
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.training.runs import AnyRun, RunId, ValidationRun

#: From how many runs on there are intervals.
LEAST_RUNS_FOR_INTERVAL = 5

_CONFIDENCE = 0.95
# Standard errors to either side of an estimate that make an interval of that confidence.
_ERRORS_OF_INTERVAL = 1.96
_RESAMPLES = 2_000
_RESAMPLING_SEED = 0
# What the interquartile mean leaves out at either end.
_TRIMMED = 0.25
# The mean over the evaluations after this share of all iterations is reported, too.
_LAST_QUARTER = 0.75


class Group(NamedTuple):
    """The runs of one game, one setting and one scheme, which differ by their seeds.

    Attributes:
      name: what the group is called in tables and figures.
      labels: the game, and the settings and the scheme where there are any, by name.
      rows: the places of all of its runs on the axis R, `[n]`.
      seeds: theirs.
      sound: `[n]` bool, which of them have not diverged.
      lost: seeds of runs that it does not have, because they diverged in an earlier stage.
    """

    name: str
    labels: dict[str, Any]
    rows: np.ndarray
    seeds: list[int]
    sound: np.ndarray
    lost: tuple[int, ...] = ()

    @property
    def size(self) -> str:
        """`3 seeds`, `1 seed`, or `2 of 3 seeds` where some have diverged.

        Examples:
          >>> Group("tree 0", {}, np.arange(3), [0, 1, 2], np.array([True, False, True])).size
          '2 of 3 seeds'
        """
        all_of_them, left = len(self.rows) + len(self.lost), self.num_sound
        noun = "seed" if all_of_them == 1 else "seeds"
        return f"{left} {noun}" if left == all_of_them else f"{left} of {all_of_them} {noun}"

    @property
    def num_sound(self) -> int:
        """How many runs have not diverged."""
        return int(self.sound.sum())

    @property
    def num_diverged(self) -> int:
        """How many runs have diverged, in this stage or before."""
        return len(self.rows) - self.num_sound + len(self.lost)

    def values(self, curve: np.ndarray) -> np.ndarray:
        """A metric's values of the runs that are sound, float64, of those of all `[R, ...]`."""
        return curve[self.rows[self.sound]].astype(float)


class Estimate(NamedTuple):
    """A metric of the runs of one group, at each of T evaluations.

    Attributes:
      num_runs: `[T]`, how many runs have a number.
      centre: `[T]`, their interquartile mean; of fewer than five runs their mean.
      low: `[T]`, the lower end of its 95% interval; of fewer than five runs the least of them.
      high: `[T]`, the upper end; likewise.
    """

    num_runs: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray


def group_runs(
    runs: Sequence[AnyRun],
    has_diverged: np.ndarray,
    game_label: str = "game",
    lost: Sequence[RunId] = (),
) -> list[Group]:
    """The groups of runs, in the order of their first runs.

    Args:
      runs: in the order of the axis R.
      has_diverged: `[R]` bool, see `results.diverged`.
      game_label: what one game is called.
      lost: runs that diverged in an earlier stage, and of which `runs` has nothing.

    Examples:
      >>> runs = [RunId(0, seed, (("nudge", xi),)) for xi in (0.0, 0.02) for seed in (0, 1)]
      >>> [(group.name, group.size) for group in group_runs(runs, np.zeros(4, bool), "tree")]
      [('tree 0, nudge 0.0', '2 seeds'), ('tree 0, nudge 0.02', '2 seeds')]
    """
    members: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for row, run in enumerate(runs):
        labels = {name: value for name, value in run.labels().items() if name != "seed"}
        members.setdefault(tuple(labels.items()), []).append(row)
    tells_apart = _tells_apart([dict(labels) for labels in members])
    groups = []
    for labels, rows in members.items():
        seeds = [_run_id(runs[row]).seed for row in rows]
        name = _name(dict(labels), tells_apart, game_label)
        own = {name: value for name, value in labels if name != "scheme"}
        gone = tuple(run.seed for run in lost if run.labels() == {**own, "seed": run.seed})
        groups.append(Group(name, dict(labels), np.array(rows), seeds, ~has_diverged[rows], gone))
    return groups


def kinds_of_centre(groups: Sequence[Group]) -> tuple[bool, bool]:
    """Whether there are means of few seeds among groups, and interquartile means of many.

    Where every group has one run, there is neither.

    Examples:
      >>> runs = [RunId(0, seed) for seed in range(6)]
      >>> kinds_of_centre(group_runs(runs, np.zeros(6, bool)))
      (False, True)
      >>> kinds_of_centre(group_runs(runs[:2], np.zeros(2, bool)))
      (True, False)
    """
    sizes = [group.num_sound for group in groups]
    is_few = max(sizes) > 1 and min(sizes) < LEAST_RUNS_FOR_INTERVAL
    return is_few, max(sizes) >= LEAST_RUNS_FOR_INTERVAL


def estimate(values: np.ndarray) -> Estimate:
    """Estimates a metric at each of T evaluations from the values `[n, T]` of n sound runs.

    Runs without a number at an evaluation, where the metric is undefined, do not count there.

    Examples:
      >>> few = estimate(np.array([[1.0], [2.0], [6.0]]))
      >>> few.num_runs.tolist(), few.centre.tolist(), few.low.tolist(), few.high.tolist()
      ([3], [3.0], [1.0], [6.0])
      >>> estimate(np.array([[1.0], [2.0], [3.0], [4.0], [90.0]])).centre.tolist()
      [3.0]
    """
    has_number = np.isfinite(values)
    found = Estimate(has_number.sum(axis=0), *np.full((3, values.shape[1]), np.nan))
    # Evaluations at which the same runs have numbers are resampled together.
    patterns, which = np.unique(has_number, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == number)
        if pattern.any():
            sample = values[np.ix_(pattern, columns)]
            found.centre[columns], found.low[columns], found.high[columns] = _estimate(sample)
    return found


def half_interval(errors: np.ndarray) -> np.ndarray:
    """Half of the 95% interval over episodes, `[T]`, of the mean of n sound runs.

    Args:
      errors: `[n, T]`, the standard error of each run's estimate; NaN where it has none.

    Examples:
      >>> half_interval(np.array([[3.0], [4.0]])).round(2).tolist()  # 1.96 * 5 / 2
      [4.9]
    """
    has_number = np.isfinite(errors)
    count = np.where(has_number.any(axis=0), has_number.sum(axis=0), np.nan)
    total = np.sqrt(np.sum(np.where(has_number, errors, 0.0) ** 2, axis=0))
    return np.asarray(_ERRORS_OF_INTERVAL * total / count)


def _estimate(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and ends `[T]` of values `[n, T]` that are all numbers."""
    if len(sample) < LEAST_RUNS_FOR_INTERVAL:
        return sample.mean(axis=0), sample.min(axis=0), sample.max(axis=0)
    found = stats.bootstrap(
        (sample,),
        _interquartile_mean,
        axis=0,
        n_resamples=_RESAMPLES,
        batch=100,
        confidence_level=_CONFIDENCE,
        method="percentile",
        vectorized=True,
        # The same seed for all: equal runs have equal intervals, wherever they are summarised.
        rng=np.random.default_rng(_RESAMPLING_SEED),
    )
    low, high = found.confidence_interval
    return _interquartile_mean(sample), low, high


def _interquartile_mean(sample: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the middle half of the values."""
    return stats.trim_mean(sample, _TRIMMED, axis=axis)


def summary(result: StageResult, groups: Sequence[Group]) -> dict[str, Any]:
    """The content of summary.json and validation.json: each metric's last evaluation, by group.

    Of some metrics it also has the mean over the last quarter of the iterations.
    """
    has_diverged = diverged(result.curves)
    return {
        "groups": [_group_summary(result, group) for group in groups],
        "runs": [
            {"labels": run.labels(), "diverged": bool(is_diverged), "fingerprint": fingerprint}
            for run, is_diverged, fingerprint in zip(
                result.runs, has_diverged, result.fingerprints, strict=True
            )
        ],
        "timing": dict(result.timing),
    }


def _group_summary(result: StageResult, group: Group) -> dict[str, Any]:
    """One group: which runs it has, and its metrics."""
    last = {name: curve[:, -1] for name, curve in result.curves.items()}
    errors = {name for name in last if name.endswith(ERROR_SUFFIX)}
    metrics = {
        name: _metric(group, values, last.get(f"{name}{ERROR_SUFFIX}"))
        for name, values in last.items()
        if name not in errors
    }
    late = result.iterations > _LAST_QUARTER * result.iterations[-1]
    for metric in METRICS:
        if metric.last_quarter and metric.name in result.curves:
            mean = result.curves[metric.name][:, late].mean(axis=1)
            metrics[f"{metric.name}_last_quarter"] = _metric(group, mean)
    is_sound = dict(zip(group.seeds, group.sound, strict=True))
    return {
        "name": group.name,
        "labels": group.labels,
        "seeds": sorted([*group.seeds, *group.lost]),
        "diverged": sorted([*group.lost, *(seed for seed in group.seeds if not is_sound[seed])]),
        "metrics": metrics,
    }


def _metric(group: Group, values: np.ndarray, errors: np.ndarray | None = None) -> dict[str, Any]:
    """One metric of a group, of the values of all runs `[R]`; None where there is no number.

    An estimate has the standard errors of all runs beside it.
    """
    own = group.values(values)
    own = own[np.isfinite(own)]
    has_interval = len(own) >= LEAST_RUNS_FOR_INTERVAL
    found = estimate(own[:, None]) if has_interval else None
    by_episodes = {} if errors is None else {"per_run_se": _per_run(group, errors)}
    return {
        "count": len(own),
        "mean": float(np.mean(own)) if len(own) else None,
        "iqm": float(found.centre[0]) if found else None,
        "ci_low": float(found.low[0]) if found else None,
        "ci_high": float(found.high[0]) if found else None,
        "per_run": _per_run(group, values),
        **by_episodes,
    }


def _per_run(group: Group, values: np.ndarray) -> dict[str, float | None]:
    """What each run of a group has, by seed, of the values of all runs `[R]`."""
    every = np.where(group.sound, values[group.rows], np.nan)
    return {
        str(seed): float(value) if np.isfinite(value) else None
        for seed, value in zip(group.seeds, every, strict=True)
    } | {str(seed): None for seed in group.lost}


def _run_id(run: AnyRun) -> RunId:
    return run.run if isinstance(run, ValidationRun) else run


def _tells_apart(each: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of the labels in which groups differ."""
    return {name for labels in each for name in labels if labels[name] != each[0].get(name)}


def _name(labels: Mapping[str, Any], tells_apart: set[str], game_label: str) -> str:
    """What a group is called: its scheme, its game and its settings, as far as they are needed."""
    parts = []
    for name, value in labels.items():
        if name == "scheme":
            parts.append(str(value))
        elif name == "game":
            # Under a scheme, the only game goes without saying.
            if "scheme" not in labels or name in tells_apart:
                parts.append(f"{game_label} {value}")
        elif name in tells_apart:
            parts.append(f"{name} {value}")
    return ", ".join(parts)
