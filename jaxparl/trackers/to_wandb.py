"""Weights & Biases: a run for each run, joined by a group.

The project is `jaxparl` unless WANDB_PROJECT says another one. WANDB_MODE=offline writes to the
folder alone, and `wandb sync` sends it later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import wandb  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.run_by_run import RunByRun
from jaxparl.trackers.tracker import TrackedRun


class WandbTracker(RunByRun):
    """Writes to `FOLDER/wandb`, and to a server unless it is offline."""

    def __init__(self, folder: Path):
        super().__init__()
        self._folder = folder

    def start(self, runs: Sequence[TrackedRun], iteration: int = 0) -> None:
        """See `Tracker`. Where a run goes on, what it has logged already is not taken twice."""
        del iteration
        self._folder.mkdir(parents=True, exist_ok=True)
        for run in runs:
            begun = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "jaxparl"),
                group=run.group,
                name=run.name,
                id=run.id,
                config=dict(run.settings),
                dir=str(self._folder),
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(silent=True),
            )
            self._runs.append(begun)


def make(folder: Path) -> WandbTracker:
    """A tracker that writes inside of a folder."""
    return WandbTracker(folder)
