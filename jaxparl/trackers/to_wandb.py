"""Weights & Biases: a run for each run, joined by a group.

The project is `jaxparl` unless WANDB_PROJECT says another one. WANDB_MODE=offline writes to the
folder alone, and `wandb sync` sends it later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wandb  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.tracker import TrackedRun, finite


class WandbTracker:
    """Writes to `FOLDER/wandb`, and to a server unless it is offline."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._runs: list[Any] = []

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

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        for row, run in enumerate(self._runs):
            run.log(finite(metrics, row), step=iteration)

    def finish(self) -> None:
        """See `Tracker`."""
        for run in self._runs:
            run.finish()


def make(folder: Path) -> WandbTracker:
    """A tracker that writes inside of a folder."""
    return WandbTracker(folder)
