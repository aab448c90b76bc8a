"""TensorBoard: a folder of events for each run, which `tensorboard --logdir` shows together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorboardX  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.tracker import TrackedRun, finite


class TensorBoardTracker:
    """Writes to `FOLDER/tensorboard/GROUP/NAME`."""

    def __init__(self, folder: Path):
        self._folder = folder / "tensorboard"
        self._writers: list[Any] = []

    def start(self, runs: Sequence[TrackedRun], iteration: int = 0) -> None:
        """See `Tracker`. What had been logged after that iteration is hidden."""
        for run in runs:
            place = self._folder / _file_name(run.group) / _file_name(run.name)
            writer = tensorboardX.SummaryWriter(str(place), purge_step=iteration + 1)
            if iteration == 0:
                writer.add_text("settings", f"```\n{json.dumps(run.settings, indent=2)}\n```")
            self._writers.append(writer)

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        for row, writer in enumerate(self._writers):
            for name, value in finite(metrics, row).items():
                writer.add_scalar(name, value, iteration)

    def finish(self) -> None:
        """See `Tracker`."""
        for writer in self._writers:
            writer.close()


def make(folder: Path) -> TensorBoardTracker:
    """A tracker that writes inside of a folder."""
    return TensorBoardTracker(folder)


def _file_name(text: str) -> str:
    return text.replace("/", "_")
