"""A job: everything that can be wrong with it is found before anything is computed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxparl.environment import Environment
from jaxparl.experiment import console, provenance, run_folder
from jaxparl.experiment.disk import check_room
from jaxparl.experiment.growth import (
    ADDED,
    Growth,
    check_longer,
    growth_of,
    reopen,
    replace_by_joined,
    scheduled,
)
from jaxparl.experiment.options import Job, all_runs, own_part, own_runs
from jaxparl.experiment.principals import Principals, load_principals
from jaxparl.experiment.rerun import recorded_options
from jaxparl.experiment.run_folder import RunFolder, shard_name
from jaxparl.experiment.slurm import Part
from jaxparl.experiment.stage import TRAINING, VALIDATION
from jaxparl.trackers import check_installed
from jaxparl.training.devices import assign_runs
from jaxparl.training.runs import RunId
from jaxparl.training.sweep import check_games, select_run
from jaxparl.validation import requirements


class Experiment(NamedTuple):
    """A job that has been checked, and a folder for its results.

    Attributes:
      job: what was asked for.
      env: the game.
      runs: those of this process.
      saved: the principals to validate, where nothing is to be trained.
      folder: where results go.
      largest: the runs of the largest part of the sweep. All parts have as many lanes as that one.
      smaller: the folder of a finished run to which these runs are added, if they are.
      is_part: whether these runs are a part of a sweep.
    """

    job: Job
    env: Environment
    runs: list[RunId]
    saved: Principals | None
    folder: RunFolder
    largest: int
    smaller: RunFolder | None = None
    is_part: bool = False

    @property
    def path(self) -> Path:
        """Where the results will be in the end."""
        return (self.smaller or self.folder).path

    def close(self) -> None:
        """Releases the folders."""
        self.folder.close()
        if self.smaller:
            self.smaller.close()

    def lanes(self, rows_per_run: int = 1) -> int:
        """How many rows of a device are computed side by side; a run has one row, or more."""
        return assign_runs(self.largest * rows_per_run, self.job.options.lanes).lanes


def prepare(job: Job, env: Environment) -> Experiment:
    """Checks a job before anything is computed, and creates or opens its folder.

    Raises:
      ValueError: what it asks for is impossible, or the folder to resume was made with other
        settings.
      OSError: the folder cannot be created, or an earlier run is missing.
    """
    options = job.options
    check_validation(job, env)
    if options.log:
        check_installed(options.log)
    saved = load_principals(job, env)
    every = saved.runs if saved else all_runs(job)
    part = own_part(options)
    runs = own_runs(every, part)
    check_lanes(options.lanes, len(runs))
    check_games(env, runs)
    largest = math.ceil(len(every) / part.count) if part else len(every)
    lanes = assign_runs(largest, options.lanes).lanes
    recorded = _recorded(job, every, part, lanes=lanes)
    if part and options.out:
        _check_siblings(options.out, recorded)
    if saved:
        rows = np.array([every.index(run) for run in runs])
        saved = Principals(runs, select_run(saved.weights, rows), saved.lost)
    base = options.out or _folder_under_runs(job, recorded, runs)
    path = base / shard_name(part.index, part.count) if part else base
    if saved is None:
        check_room(path, job.config, env, len(runs), job.components)
    folder = RunFolder(path, options.resume != "never")
    experiment = Experiment(job, env, runs, saved, folder, largest, is_part=part is not None)
    try:
        experiment, changes = _begin(experiment, recorded, part)
    except (ValueError, OSError):
        folder.close()
        raise
    announce_part(part)
    for change in changes:
        console.warn(
            "this run was begun with other versions or on another machine, and bits may differ: "
            f"{change}"
        )
    return experiment


def _begin(
    experiment: Experiment, recorded: Mapping[str, Any], part: Part | None
) -> tuple[Experiment, list[str]]:
    """Records what is about to be run; or finds out what the run in the folder lacks of it.

    Returns:
      What is to be run, and what has changed of versions and machine since it was begun.
    """
    job, folder, runs = experiment.job, experiment.folder, experiment.runs
    array = {"slurm_array": part.array._asdict()} if part and part.array else {}
    source = {"source": job.source} if job.source else {}
    remarks = {"options": recorded_options(job), "extended_after": [], **array, **source}
    growth = _growth(experiment, recorded, part)
    if growth is None:
        return experiment, folder.write_config(recorded, runs, **remarks) or []
    found = run_folder.read_config(folder.path)
    changes = provenance.changed_origin({**provenance.origin(), **source}, found)
    if growth.past_iterations is not None:
        is_told = job.options.resume == "extend"
        check_longer(job.config, runs, growth.past_iterations, is_told=is_told)
        reopen(folder.path)
        # Runs whose schedules were extended are no longer those of the longer run.
        after = list(found.get("extended_after", []))
        if scheduled(job.config, runs):
            after.append(growth.past_iterations)
        folder.rewrite_config(recorded, runs, **{**remarks, "extended_after": after})
        console.note(f"the run that is there goes on from iteration {growth.past_iterations:,}")
        return experiment, changes
    if found.get("extended_after"):
        raise ValueError(
            f"the runs in {folder.path} went on after {found['extended_after'][-1]:,} iterations, "
            "when their schedules had ended: others would not be like them. Choose another --out"
        )
    added = RunFolder(folder.path / ADDED, resume=True)
    there = len(runs) - len(growth.added)
    more = len(growth.added)
    console.note(f"adding {more} {'run' if more == 1 else 'runs'} to the {there} that are there")
    experiment = experiment._replace(runs=growth.added, folder=added, smaller=folder, largest=there)
    asked = {**recorded, "lanes": experiment.lanes()}
    added.write_config(asked, growth.added, **remarks)
    return experiment, changes


def _growth(
    experiment: Experiment, recorded: Mapping[str, Any], part: Part | None
) -> Growth | None:
    """What the run in the folder lacks of what is asked for, if it lacks anything.

    Raises:
      ValueError: it lacks too much at once, or is not finished.
    """
    path, options = experiment.folder.path, experiment.job.options
    if options.resume == "never" or options.principal or not (path / "config.json").exists():
        return None
    replace_by_joined(path)
    found = run_folder.read_config(path)
    if found.get("format") != provenance.FORMAT:
        return None
    asked = run_folder.with_runs(recorded, experiment.runs)
    if part is None and isinstance(found.get("runs"), list):
        # Lanes are by default as many as runs: those that are added have as many as were there.
        there = experiment._replace(largest=len(found["runs"]))
        asked["lanes"] = there.lanes()
    growth = growth_of(found, asked, experiment.runs)
    if growth is None:
        return None
    if options.distributed:
        raise ValueError(f"the run in {path} can only grow in one process, without --distributed")
    if growth.added and growth.past_iterations is not None:
        raise ValueError(
            f"the run in {path} lacks iterations as well as runs; let it grow by one and then by "
            "the other"
        )
    last = VALIDATION if growth.added and options.validate else TRAINING
    if not (path / f"{last.summary}.json").exists():
        raise ValueError(f"the run in {path} is not finished; finish it as it is, then let it grow")
    return growth


def announce_part(part: Part | None) -> None:
    """Prints which part of the sweep this is, where nobody has asked for it."""
    if part and part.array:
        console.note(
            f"part {part.index} of {part.count}, from the Slurm array; --shard none trains all runs"
        )


def check_lanes(lanes: int | None, num_runs: int) -> None:
    """Warns of lanes without runs, which devices fill with copies."""
    per_device = assign_runs(num_runs, lanes=1).waves
    if lanes is not None and lanes > per_device:
        console.warn(
            f"--lanes {lanes}: the most runs that a device has is {per_device}, and it fills the "
            f"other lanes with copies, which takes up to {lanes / per_device:.0f} times as long. "
            "That only serves to have the bits of a larger sweep with as many lanes"
        )


def check_validation(job: Job, env: Environment) -> None:
    """Refuses schemes that a game lacks, and validation of a game that cannot be validated.

    Raises:
      ValueError: see `requirements.check_can_validate` and `check_schemes`.
    """
    usual = float(env.default_params.discount)
    discounts = [dict(run.own).get("discount", usual) for run in all_runs(job)]
    requirements.check_schemes(env, job.config.schemes, discounts)
    if not (job.options.validate or job.options.principal):
        return
    try:
        requirements.check_can_validate(env)
    except ValueError as error:
        if job.options.principal:
            raise ValueError(f"--principal: {error}") from error
        # It may be the preset that asks for it.
        raise ValueError(f"{error}; --no-validate trains without it") from error


def _recorded(job: Job, every: Sequence[RunId], part: Part | None, *, lanes: int) -> dict[str, Any]:
    """What config.json says about a job, of which `every` run is one of the whole sweep's."""
    principal = job.options.principal
    return {
        "environment": job.environment,
        "label": job.label,
        "settings": dataclasses.asdict(job.settings),
        "config": dataclasses.asdict(job.config),
        "components": job.components.names(),
        "of_runs": [run.labels() for run in every],
        "principal": str(principal) if principal else None,
        "shard": [part.index, part.count] if part else None,
        "lanes": lanes,
        "validate": job.options.validate,
        "numerics": provenance.numerics(),
    }


def _check_siblings(out: Path, recorded: Mapping[str, Any]) -> None:
    """Refuses a part that cannot be merged with those that are there, before it is trained.

    Raises:
      ValueError: they are of another sweep.
    """
    index, count = recorded["shard"]
    asked = provenance.as_json({**recorded, "shard": None})
    for path in sorted(out.glob("shard-*-of-*")):
        try:
            found = run_folder.read_config(path)
        except (OSError, ValueError):
            continue  # `merge` says what is wrong with it
        if found.get("format") != provenance.FORMAT or path.name == shard_name(index, count):
            continue
        there = {**{name: found.get(name) for name in asked}, "shard": None}
        differences = provenance.differences(asked, there)
        if not path.name.endswith(f"-of-{count}"):
            differences.append(f"this is part {index} of {count}")
        if differences:
            raise ValueError(
                f"{path} is a part of another sweep: {'; '.join(differences)}. Choose another "
                "--out, or the settings that it was made with"
            )


def _folder_under_runs(job: Job, recorded: Mapping[str, Any], runs: Sequence[RunId]) -> Path:
    """A new folder under runs/; to resume, the one there that was made with the same settings."""
    # Of a game behind a door, the class.
    name = f"{job.environment.rpartition(':')[2]}-{job.options.preset}"
    if job.options.shard:
        raise ValueError("--shard needs --out: that is where the parts come together")
    if job.options.distributed:
        raise ValueError("--distributed needs --out: a folder that every process sees")
    taken = sorted(Path("runs").glob(f"{name}-*"))
    if job.options.resume != "never":
        for path in taken:
            if _is_same(path, recorded, runs):
                return path
    numbers = {path.name for path in taken}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in numbers)
    return Path("runs") / f"{name}-{number}"


def _is_same(path: Path, recorded: Mapping[str, Any], runs: Sequence[RunId]) -> bool:
    try:
        found = run_folder.read_config(path)
    except (OSError, ValueError):
        return False  # what is wrong with another run is no concern of this one
    return found.get("format") == provenance.FORMAT and not run_folder.changed_settings(
        found, recorded, runs
    )
