"""MLflow: a run for each run, with the group as a tag.

The experiment is `jaxparl` unless MLFLOW_EXPERIMENT_NAME says another one. Without
MLFLOW_TRACKING_URI it writes a database in the folder: `mlflow ui --backend-store-uri` shows it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

from jaxparl.trackers.tracker import TrackedRun, finite

# So many params are taken at once, and so many characters of each.
_MOST_PARAMS, _MOST_CHARACTERS = 100, 500


class MlflowTracker:
    """Writes to `FOLDER/mlflow.db`, unless MLFLOW_TRACKING_URI says another place."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        place = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        self._client = MlflowClient(tracking_uri=place)
        self._runs: list[str] = []

    def start(self, runs: Sequence[TrackedRun], iteration: int = 0) -> None:
        """See `Tracker`. A run that is known goes on, by its id, which is a tag."""
        experiment = self._experiment()
        for run in runs:
            known = self._client.search_runs([experiment], f"tags.jaxparl_id = '{run.id}'")
            if known and iteration > 0:
                self._runs.append(known[0].info.run_id)
                continue
            tags = {"jaxparl_id": run.id, "group": run.group}
            begun = self._client.create_run(experiment, tags=tags, run_name=run.name)
            params = [
                Param(name, str(value)[:_MOST_CHARACTERS]) for name, value in run.settings.items()
            ]
            self._client.log_batch(begun.info.run_id, params=params[:_MOST_PARAMS])
            self._runs.append(begun.info.run_id)

    def log(self, iteration: int, metrics: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        now = int(1_000 * time.time())
        for row, run in enumerate(self._runs):
            found = finite(metrics, row)
            batch = [Metric(name, value, now, iteration) for name, value in found.items()]
            self._client.log_batch(run, metrics=batch)

    def finish(self) -> None:
        """See `Tracker`."""
        for run in self._runs:
            self._client.set_terminated(run)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "jaxparl")
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))


def make(folder: Path) -> MlflowTracker:
    """A tracker that writes inside of a folder."""
    return MlflowTracker(folder)
