"""A run that goes on: for more iterations, or with more seeds, games or settings.

Both begin from a folder that holds a run of otherwise the same settings. Its state after the last
iteration was kept, so training can go on from there. Runs that are new are trained in a folder
inside of it, and joined with those that are there.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxparl.config import Config
from jaxparl.experiment import provenance
from jaxparl.experiment.merge import TrainedPart, join
from jaxparl.experiment.run_folder import RunFolder, read_config
from jaxparl.experiment.stage import TRAINING, VALIDATION
from jaxparl.training.runs import RunId, hyper_params_of, run_of

#: Inside of a run's folder: where runs are trained that it lacks; where they are being joined with
#: those that it has; and the same when that is complete.
ADDED, JOINING, JOINED = "added", "joining", "joined"


class Growth(NamedTuple):
    """What a folder lacks of what is asked for, where all else is the same.

    Attributes:
      past_iterations: those that its runs are to have behind them, if they are to have more.
      added: the runs that it does not have.
    """

    past_iterations: int | None
    added: list[RunId]


def growth_of(
    recorded: Mapping[str, Any], asked: Mapping[str, Any], runs: Sequence[RunId]
) -> Growth | None:
    """How a run has to grow to be what is asked for; None if it differs in anything else, or not.

    Args:
      recorded: the content of its config.json.
      asked: the same of what is asked for.
      runs: those of what is asked for.

    Examples:
      >>> recorded = {"config": {"iterations": 400}, "runs": [{"game": 0, "seed": 0}]}
      >>> asked = {"config": {"iterations": 800}, "runs": recorded["runs"]}
      >>> growth_of(recorded, asked, [RunId(0, 0)])
      Growth(past_iterations=400, added=[])
    """
    try:
        found = [run_of(labels) for labels in recorded["runs"]]
        past, wanted = (int(each["config"]["iterations"]) for each in (recorded, asked))
    except (KeyError, TypeError, ValueError):
        return None
    added = [run for run in runs if run not in set(found)]
    # The parts of a sweep do not get more runs: their numbers say which runs they are.
    is_wider = set(found) < set(runs) and not recorded.get("shard")
    is_longer = wanted > past
    if not is_wider and not is_longer:
        return None
    grown = dict.fromkeys(("runs", "of_runs") if is_wider else ())
    there = {name: recorded.get(name) for name in asked}
    there["config"] = {**recorded["config"], "iterations": max(wanted, past)}
    if provenance.differences({**asked, **grown}, {**there, **grown}):
        return None
    return Growth(past if is_longer else None, added if is_wider else [])


def scheduled(config: Config, runs: Sequence[RunId]) -> list[str]:
    """The settings whose effect in an iteration depends on how many there are in all.

    Where there are none, the first iterations of a longer run are those of a shorter one.

    Examples:
      >>> scheduled(Config(), [RunId(0, 0)])[:2]
      ['learning_rate_final', 'principal_learning_rate_final']
    """
    each = hyper_params_of(config.hyper_params, runs)
    depends = {
        "learning_rate_final": np.any(each.learning_rate_final != each.learning_rate),
        "principal_learning_rate_final": np.any(
            each.principal_learning_rate_final != each.learning_rate
        ),
        "outcome_learning_rate": config.outcome_model == "learned",
        "epsilon_final": np.any(each.epsilon_final != each.epsilon),
        "target_window": config.target_window > 0,
        "principal_target_window": config.principal_target_window > 0,
    }
    return [name for name, is_true in depends.items() if is_true]


def check_longer(config: Config, runs: Sequence[RunId], past: int, *, is_told: bool) -> None:
    """Refuses to go on where the longer run would have been another one from the beginning.

    Args:
      config: of the longer run.
      runs: which runs.
      past: iterations that they are to have behind them.
      is_told: whether to go on nevertheless.

    Raises:
      ValueError: there are schedules; or its evaluations do not go on at `past`.
    """
    if past % config.evaluation_interval:
        raise ValueError(
            f"a run of {past:,} iterations cannot go on with evaluations every "
            f"{config.evaluation_interval:,}"
        )
    names = scheduled(config, runs)
    if names and not is_told:
        raise ValueError(
            f"the run that is there has {past:,} iterations, and its schedules end with them "
            f"({', '.join(names)}): one of {config.iterations:,} would have been another from the "
            f"first iteration on. --resume extend goes on nevertheless, from iteration {past:,} "
            "with the schedules of the longer run; or choose another --out"
        )


def reopen(path: Path) -> None:
    """Makes a finished run an unfinished one, whose training goes on; all but its state is stale.

    Raises:
      ValueError: its state was not kept.
    """
    kept = path / "checkpoints" / TRAINING.activity
    if not kept.exists() or not any(kept.iterdir()):
        raise ValueError(
            f"the state after the last iteration is not in {kept}, so the run cannot go on (it is "
            "not kept of runs that were joined or merged); choose another --out"
        )
    for stage in (VALIDATION, TRAINING):
        for name in (f"{stage.summary}.json", f"{stage.metrics}.npz"):
            (path / name).unlink(missing_ok=True)
    shutil.rmtree(path / "checkpoints" / VALIDATION.activity, ignore_errors=True)
    for name in ("csv", "png", "gif"):
        (path / f"{VALIDATION.metrics}.{name}").unlink(missing_ok=True)


def join_with_smaller(smaller: RunFolder, added: RunFolder) -> None:
    """Joins a run with what was added to it, and puts the whole in its place.

    Args:
      smaller: the folder of the run that has grown.
      added: the folder of the runs that it lacked, inside of it; finished. It is released.
    """
    parts = [TrainedPart(path, read_config(path)) for path in (added.path, smaller.path)]
    added.close()
    joining = smaller.path / JOINING
    shutil.rmtree(joining, ignore_errors=True)
    with contextlib.closing(RunFolder(joining)) as folder:
        join(folder, parts)
    joining.rename(smaller.path / JOINED)
    replace_by_joined(smaller.path)


def replace_by_joined(path: Path) -> None:
    """Moves what was joined, if anything, to where the smaller run was.

    It is begun when everything is joined, and where it was interrupted, it is begun again.
    """
    joined = path / JOINED
    if not joined.exists():
        return
    (joined / ".lock").unlink(missing_ok=True)
    # config.json comes last: until then the folder is known as that of the smaller run.
    for entry in sorted(joined.iterdir(), key=lambda entry: entry.name == "config.json"):
        target = path / entry.name
        if entry.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        entry.replace(target)
    joined.rmdir()
    shutil.rmtree(path / ADDED)
