"""What the trackers have in common whose packages have an object for each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxparl.trackers.tracker import finite


class RunByRun:
    """Hands each run its own metrics; `start` differs from package to package."""

    def __init__(self) -> None:
        self._runs: list[Any] = []

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        for row, run in enumerate(self._runs):
            run.log(finite(metrics, row), step=iteration)

    def finish(self) -> None:
        """See `Tracker`."""
        for run in self._runs:
            run.finish()
