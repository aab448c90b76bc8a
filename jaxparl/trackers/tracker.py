"""What a tracker does, and which there are."""

from __future__ import annotations

import importlib
import importlib.util
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxparl.run_options import TrackerName

#: The trackers by name, and the package that each of them needs.
TRACKERS: Mapping[TrackerName, str] = {
    "tensorboard": "tensorboardX",
    "wandb": "wandb",
    "trackio": "trackio",
    "mlflow": "mlflow",
}


class TrackedRun(NamedTuple):
    """One run, as a tracker knows it.

    Attributes:
      group: what it has in common with the other runs of a stage, such as `mine, training`.
      name: what tells it apart from these, such as `game 0 seed 1`.
      id: its own among all runs, and the same when it is resumed.
      settings: what it was asked for.
    """

    group: str
    name: str
    id: str
    settings: Mapping[str, Any]


class Tracker(Protocol):
    """Takes the metrics of R runs that learn side by side."""

    def start(self, runs: Sequence[TrackedRun], iteration: int = 0) -> None:
        """Begins to track runs `[R]`, which stand at an iteration; or goes on if they are known."""

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Takes one evaluation of all runs, `[R]` each."""

    def finish(self) -> None:
        """Writes what is not written yet; no other call comes after it."""


def check_installed(name: TrackerName) -> None:
    """Checks that the package of a tracker is there, without importing it.

    Raises:
      ValueError: it is not; the message says what to install.
    """
    package = TRACKERS[name]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{name} needs the package {package}: pip install 'jaxparl[{name}]'")


def make_tracker(name: TrackerName, folder: Path) -> Tracker:
    """A tracker by name.

    Args:
      name: one of `TRACKERS`.
      folder: where it writes, unless its own settings, such as environment variables, say another
        place.

    Raises:
      ValueError: its package is not installed.
    """
    check_installed(name)
    made = importlib.import_module(f"jaxparl.trackers.to_{name}").make(folder)
    return typing.cast(Tracker, made)


def finite(metrics: Mapping[str, np.ndarray], row: int) -> dict[str, float]:
    """The metrics of one of the runs `[R]`, without those that are undefined.

    Examples:
      >>> finite({"welfare": np.array([1.5, 2.0]), "payment": np.array([np.nan, 0.5])}, 0)
      {'welfare': 1.5}
    """
    values = {name: float(column[row]) for name, column in metrics.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}
