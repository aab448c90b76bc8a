"""Trained principals, of a run or of an earlier one, without those that have diverged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.experiment import console, provenance, run_folder
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.experiment.options import Job
from jaxparl.experiment.results import diverged
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.state import Weights
from jaxparl.training.runs import RunId, describe, run_of
from jaxparl.training.sweep import select_run
from jaxparl.validation import black_boxes


class Principals(NamedTuple):
    """Trained principals that are sound.

    Attributes:
      runs: which runs they are of.
      weights: of all of them, `[R, ...]`.
      lost: runs beside them that have diverged.
    """

    runs: list[RunId]
    weights: Weights
    lost: tuple[RunId, ...] = ()


def load_principals(job: Job, env: Environment) -> Principals | None:
    """The principals that a job is to validate without training, if it names any.

    Raises:
      OSError: there is no run in that folder, or it is not finished.
      ValueError: they are of another game, or have other networks.
    """
    path = job.options.principal
    if path is None:
        return None
    recorded = run_folder.read_config(path)
    asked = provenance.as_json(
        {"environment": job.environment, "settings": dataclasses.asdict(job.settings)}
    )
    found = {name: recorded.get(name) for name in asked}
    differences = provenance.differences(asked, found)
    if differences:
        raise ValueError(f"the principals in {path} are of another game: {'; '.join(differences)}")
    made = provenance.differences(job.components.names(), recorded.get("components"), "components")
    if made:
        raise ValueError(f"the principals in {path} had other components: {'; '.join(made)}")
    for change in provenance.changed_source(job.source, recorded.get("source")):
        console.warn(f"the principals in {path} may be of another game: {change}")
    principals, has_diverged = read_principals(
        path, recorded, job.config, env, components=job.components
    )
    for name, value in job.env_params.items():
        for run in principals.runs:
            if dict(run.own).get(name) != value:
                raise ValueError(
                    f"the principals in {path} are of another game: {describe(run)} does not have "
                    f"{name} {value}. They are validated in the game that they were trained in"
                )
    for number in np.flatnonzero(has_diverged):
        run = describe(principals.runs[int(number)])
        console.warn(f"{run} has diverged: its principal is not validated")
    return sound_principals(principals, has_diverged)


def read_principals(
    path: Path,
    recorded: Mapping[str, Any],
    config: Config,
    env: Environment,
    *,
    components: Components = STANDARD,
) -> tuple[Principals, np.ndarray]:
    """All principals of a run, and which of them have diverged, `[R]` bool, but not all have.

    Args:
      path: its folder.
      recorded: the content of its config.json.
      config: what they are taken to have learned with.
      env: the game.
      components: what of the learner is made elsewhere.

    Raises:
      OSError: the run is not finished, or damaged.
      ValueError: they have other networks, or all have diverged.
    """
    runs = [run_of(labels) for labels in recorded["runs"]]
    has_diverged = diverged(run_folder.read_curves(path, runs))
    weights = load_weights(path / "checkpoints" / "final")
    black_boxes.check_principal(config, env, select_run(weights, 0), components)
    if has_diverged.all():
        raise ValueError(f"every run in {path} has diverged; there is no principal left")
    return Principals(runs, weights), has_diverged


def sound_principals(principals: Principals, has_diverged: np.ndarray) -> Principals:
    """The principals of those runs that have not diverged, `[R]` bool."""
    sound = np.flatnonzero(~has_diverged)
    runs = [principals.runs[int(number)] for number in sound]
    lost = tuple(run for run, is_lost in zip(principals.runs, has_diverged, strict=True) if is_lost)
    return Principals(runs, select_run(principals.weights, sound), lost)
