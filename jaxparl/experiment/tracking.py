"""What a stage tells a tracker; a tracker that fails never stops a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxparl.experiment import console, run_folder
from jaxparl.experiment.processes import is_first
from jaxparl.run_options import TrackerName
from jaxparl.trackers import TrackedRun, Tracker, make_tracker
from jaxparl.training.runs import AnyRun, describe

# A run has the same id however often it is resumed, and another one in another folder.
_ID_LENGTH = 12


class Tracking:
    """Sends the evaluations of one stage to a tracker, if there is one.

    Args:
      name: of the tracker; None for none.
      folder: of the run.
      activity: of the stage.
      runs: which runs, `[R]`.
    """

    def __init__(
        self, name: TrackerName | None, folder: Path, activity: str, runs: Sequence[AnyRun]
    ):
        self._name: TrackerName | None = name
        self._folder, self._activity, self._runs = folder, activity, runs
        self._tracker: Tracker | None = None

    def start(self, iteration: int) -> None:
        """Begins at an iteration, that of the checkpoint from which the stage goes on."""
        if self._name is not None and is_first():
            self._attempt(partial(self._begin, self._name, iteration))

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Sends one evaluation, `[R]` each."""
        if self._tracker is not None:
            self._attempt(partial(self._tracker.log, iteration, metrics))

    def close(self) -> None:
        """Lets the tracker write what it has; after that nothing is sent."""
        if self._tracker is not None:
            self._attempt(self._tracker.finish)
        self._tracker = None

    def _begin(self, name: TrackerName, iteration: int) -> None:
        self._tracker = make_tracker(name, self._folder)
        self._tracker.start(self._tracked(), iteration)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever the code of the tracker, or its server, does
            self._tracker = None
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            console.warn(f"{self._name} has stopped, and the run goes on without it: {reason}")

    def _tracked(self) -> list[TrackedRun]:
        recorded = run_folder.read_config(self._folder)
        shared = _flat({name: recorded[name] for name in ("environment", "settings", "config")})
        place = f"{self._folder.resolve()} {self._folder.stat().st_ino}"
        return [
            TrackedRun(
                group=f"{self._folder.name}, {self._activity}",
                name=describe(run),
                id=_digest(f"{place} {self._activity} {describe(run)}"),
                settings={**shared, **run.labels()},
            )
            for run in self._runs
        ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings within settings, by names with dots."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found
