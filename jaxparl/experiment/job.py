"""A job: everything that can be wrong with it is found before anything is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxparl.environment import Environment
from jaxparl.experiment import console, provenance, run_folder
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.experiment.options import Job, all_runs, own_part, own_runs
from jaxparl.experiment.run_folder import RunFolder, shard_name
from jaxparl.learning.state import Weights
from jaxparl.training.devices import assign_runs
from jaxparl.training.runs import RunId, run_of
from jaxparl.training.sweep import check_games, select_run
from jaxparl.validation import black_boxes, requirements


class Principals(NamedTuple):
    """Trained principals: which runs they are of, and the weights of all of them, `[R, ...]`."""

    runs: list[RunId]
    weights: Weights


class Experiment(NamedTuple):
    """A job that has been checked, and a folder for its results.

    Attributes:
      job: what was asked for.
      env: the game.
      runs: those of this process.
      saved: the principals to validate, where nothing is to be trained.
      folder: where results go.
    """

    job: Job
    env: Environment
    runs: list[RunId]
    saved: Principals | None
    folder: RunFolder


def prepare(job: Job, env: Environment) -> Experiment:
    """Checks a job before anything is computed, and creates or opens its folder.

    Raises:
      ValueError: what it asks for is impossible, or the folder to resume was made with other
        settings.
      OSError: the folder cannot be created, or an earlier run is missing.
    """
    options = job.options
    check_validation(job, env)
    saved = _load_principals(job, env)
    every = saved.runs if saved else all_runs(options, job.config.hyper_params)
    part = own_part(options)
    runs = own_runs(every, part)
    check_games(env, runs)
    recorded = _recorded(job, every, part, lanes=assign_runs(len(runs), options.lanes).lanes)
    if saved:
        rows = np.array([every.index(run) for run in runs])
        saved = Principals(runs, select_run(saved.weights, rows))
    base = options.out or _folder_under_runs(job, recorded, runs)
    folder = RunFolder(base / shard_name(*part) if part else base, options.resume == "auto")
    try:
        changes = folder.write_config(recorded, runs)
    except (ValueError, OSError):
        folder.close()
        raise
    for change in changes or ():
        console.warn(f"versions have changed since this run began, bits may differ: {change}")
    return Experiment(job, env, runs, saved, folder)


def check_validation(job: Job, env: Environment) -> None:
    """Refuses a job that asks for validation of a game that cannot be validated.

    Raises:
      ValueError: see `requirements.check_can_validate`.
    """
    if not (job.options.validate or job.options.principal):
        return
    try:
        requirements.check_can_validate(env)
    except ValueError as error:
        raise ValueError(f"--validate and --principal: {error}") from error


def _recorded(
    job: Job, every: Sequence[RunId], part: tuple[int, int] | None, *, lanes: int
) -> dict[str, Any]:
    """What config.json says about a job, of which `every` run is one of the whole sweep's."""
    principal = job.options.principal
    return {
        "environment": job.environment,
        "label": job.label,
        "settings": dataclasses.asdict(job.settings),
        "config": dataclasses.asdict(job.config),
        "of_runs": [run.labels() for run in every],
        "principal": str(principal) if principal else None,
        "shard": list(part) if part else None,
        "lanes": lanes,
        "validate": job.options.validate,
    }


def _load_principals(job: Job, env: Environment) -> Principals | None:
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
    weights = load_weights(path / "checkpoints" / "final")
    black_boxes.check_principal(job.config, env, select_run(weights, 0))
    return Principals([run_of(labels) for labels in recorded["runs"]], weights)


def _folder_under_runs(job: Job, recorded: Mapping[str, Any], runs: Sequence[RunId]) -> Path:
    """A new folder under runs/; to resume, the one there that was made with the same settings."""
    name = f"{job.environment}-{job.options.preset}"
    if job.options.shard:
        raise ValueError("--shard needs --out: that is where the parts come together")
    if job.options.distributed:
        raise ValueError("--distributed needs --out: a folder that every process sees")
    taken = sorted(Path("runs").glob(f"{name}-*"))
    if job.options.resume == "auto":
        for path in taken:
            if (path / "config.json").exists() and _is_same(path, recorded, runs):
                return path
    numbers = {path.name for path in taken}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in numbers)
    return Path("runs") / f"{name}-{number}"


def _is_same(path: Path, recorded: Mapping[str, Any], runs: Sequence[RunId]) -> bool:
    found = run_folder.read_config(path)
    return found.get("format") == provenance.FORMAT and not run_folder.changed_settings(
        found, recorded, runs
    )
