"""Trackio: a run for each run, joined by a group, kept where `trackio show` looks for it.

The project is `jaxparl` unless TRACKIO_PROJECT says another one.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trackio  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.tracker import TrackedRun, finite


class TrackioTracker:
    """Writes to Trackio's own place, or to the server or Space that its settings name."""

    def __init__(self) -> None:
        self._runs: list[Any] = []

    def start(self, runs: Sequence[TrackedRun], iteration: int = 0) -> None:
        """See `Tracker`."""
        del iteration
        for run in runs:
            begin = partial(
                trackio.init,
                os.environ.get("TRACKIO_PROJECT", "jaxparl"),
                name=f"{run.group}, {run.name} ({run.id})",
                group=run.group,
                config=dict(run.settings),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            # Within one context it would finish the run before.
            self._runs.append(contextvars.copy_context().run(begin))

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        for row, run in enumerate(self._runs):
            run.log(finite(metrics, row), step=iteration)

    def finish(self) -> None:
        """See `Tracker`."""
        for run in self._runs:
            run.finish()


def make(folder: Path) -> TrackioTracker:
    """A tracker that writes to Trackio's own place."""
    del folder
    return TrackioTracker()
