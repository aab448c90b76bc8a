"""What a finished stage has found, for everything that records, prints or draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxparl.training.runs import AnyRun


class StageResult(NamedTuple):
    """The curves of all runs of one stage, and how they came about.

    Attributes:
      runs: the runs, in the order of the axis R.
      iterations: the iterations of the evaluations, `[evaluations]`.
      curves: each metric's values, `[R, evaluations]`; NaN from where a run has diverged, and where
        a metric is undefined.
      timing: seconds per part of the work, and iterations per second of all runs together.
      fingerprints: a digest of each run's final state, `[R]`: equal where every bit is equal.
    """

    runs: Sequence[AnyRun]
    iterations: np.ndarray
    curves: dict[str, np.ndarray]
    timing: dict[str, float]
    fingerprints: list[str]


def losses(metrics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The metrics that tell whether a run has diverged.

    Examples:
      >>> list(losses({"welfare": np.ones(2), "agent_loss": np.ones(2)}))
      ['agent_loss']
    """
    return {name: values for name, values in metrics.items() if name.endswith("loss")}


def diverged(curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which runs have diverged, `[R]` bool: those of which a loss ends without a number.

    This is the one rule, for everything that reads results: statistics, tables, figures and
    animations leave out the whole of a run that has diverged, and say how many runs are left.

    Args:
      curves: each metric's values, `[R, evaluations]`, with at least one evaluation.

    Examples:
      >>> curves = {"agent_loss": np.array([[2.0, 1.0], [2.0, np.nan]])}
      >>> diverged(curves).tolist()
      [False, True]
    """
    return np.any([~np.isfinite(values[:, -1]) for values in losses(curves).values()], axis=0)


def stage_timing(
    compile_seconds: float, setup_seconds: float, train_seconds: float, *, iterations: float
) -> dict[str, float]:
    """The timing of a stage that has run so many `iterations`, those of all runs together."""
    return {
        "compile_seconds": compile_seconds,
        "setup_seconds": setup_seconds,
        "train_seconds": train_seconds,
        "iterations_per_second": iterations / train_seconds,
    }
