"""Means over runs, and how certain they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from jaxparl.experiment.metrics_table import METRICS
from jaxparl.experiment.results import StageResult

_CONFIDENCE = 0.95
# The mean over the evaluations after this share of all iterations is reported, too.
_LAST_QUARTER = 0.75


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Student's 95% interval for the mean of `[R]` values; None where R is below 2.

    Examples:
      >>> low, high = interval(np.array([1.0, 2.0, 3.0]))
      >>> round(low, 3), round(high, 3)
      (-0.484, 4.484)
    """
    if len(values) < 2:
        return None, None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
    return mean - half, mean + half


def half_interval(values: np.ndarray) -> float:
    """Half the width of `interval`; NaN where R is below 2.

    Examples:
      >>> round(half_interval(np.array([1.0, 2.0, 3.0])), 3)
      2.484
    """
    low, high = interval(values)
    return float("nan") if low is None or high is None else (high - low) / 2


def summarise(values: np.ndarray) -> dict[str, Any]:
    """Mean, 95% interval over runs, and every run's own value, of `[R]` values.

    Values that are not finite, as those of runs that have diverged, are left out of the mean.
    They become None, because JSON has no NaN.

    Examples:
      >>> summarise(np.array([1.0, np.nan]))
      {'mean': 1.0, 'ci_low': None, 'ci_high': None, 'per_run': [1.0, None]}
    """
    finite = values[np.isfinite(values)]
    low, high = interval(finite)
    return {
        "mean": float(np.mean(finite)) if len(finite) else None,
        "ci_low": low,
        "ci_high": high,
        "per_run": [float(value) if np.isfinite(value) else None for value in values],
    }


def summary(result: StageResult) -> dict[str, Any]:
    """The content of summary.json: each metric's last evaluation, over all runs.

    Of some metrics it also has the mean over the last quarter of the iterations.
    """
    content: dict[str, Any] = {
        name: summarise(curve[:, -1]) for name, curve in result.curves.items()
    }
    late = result.iterations > _LAST_QUARTER * result.iterations[-1]
    for metric in METRICS:
        if metric.last_quarter and metric.name in result.curves:
            mean = result.curves[metric.name][:, late].mean(axis=1)
            content[f"{metric.name}_last_quarter"] = summarise(mean)
    content["timing"] = dict(result.timing)
    content["fingerprints"] = list(result.fingerprints)
    return content


def summary_by_group(result: StageResult, groups: Sequence[str]) -> dict[str, Any]:
    """The content of validation.json: each metric's last evaluation, by the group of each run."""
    content: dict[str, Any] = {
        "timing": dict(result.timing),
        "fingerprints": list(result.fingerprints),
    }
    for group in dict.fromkeys(groups):
        rows = np.array([name == group for name in groups])
        content[group] = {name: summarise(curve[rows, -1]) for name, curve in result.curves.items()}
    return content
