"""Trackio: a run for each run, joined by a group, kept where `trackio show` looks for it.

The project is `jaxparl` unless TRACKIO_PROJECT says another one.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trackio  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.run_by_run import RunByRun
from jaxparl.trackers.tracker import TrackedRun


class TrackioTracker(RunByRun):
    """Writes to Trackio's own place, or to the server or Space that its settings name."""

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


def make(folder: Path) -> TrackioTracker:
    """A tracker that writes to Trackio's own place."""
    del folder
    return TrackioTracker()
