"""What a finished stage has found, for everything that records, prints or draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxparl.training.runs import AnyRun


class StageResult(NamedTuple):
    """The curves of all runs of one stage, and how they came about.

    Attributes:
      runs: the runs, in the order of the axis R.
      iterations: the iterations of the evaluations, `[evaluations]`.
      curves: each metric's values, `[R, evaluations]`; NaN from where a run has diverged.
      timing: seconds per part of the work, and iterations per second of all runs together.
      fingerprints: a digest of each run's final state, `[R]`: equal where every bit is equal.
    """

    runs: Sequence[AnyRun]
    iterations: np.ndarray
    curves: dict[str, np.ndarray]
    timing: dict[str, float]
    fingerprints: list[str]


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
