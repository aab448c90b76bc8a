"""Reads back what finished stages have left in the folders of runs, and joins it to be compared."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxparl.experiment import provenance, run_folder
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.experiment.stage import VALIDATION, Stage
from jaxparl.experiment.statistics import Group, group_runs
from jaxparl.training.runs import AnyRun, ValidationRun, run_of


class Finished(NamedTuple):
    """A finished stage of one folder.

    Attributes:
      path: the folder.
      groups: of its runs.
      result: what it has found.
    """

    path: Path
    groups: list[Group]
    result: StageResult


def read_finished(path: Path, stage: Stage) -> Finished | None:
    """What a stage has left in a folder; None if it was not run there, or is not finished.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: it is damaged, or of another version of jaxparl.
    """
    config = run_folder.read_config(path)
    provenance.check_format(config, path, "show", remedy="show it with that version")
    summary, arrays = path / f"{stage.summary}.json", path / f"{stage.metrics}.npz"
    if not (summary.exists() and arrays.exists()):
        return None
    try:
        content = json.loads(summary.read_text())
        runs = [_run(each["labels"]) for each in content["runs"]]
        with np.load(arrays) as found:
            iterations = found["iteration"]
            curves = {name: found[name] for name in found if found[name].ndim > 1}
        result = StageResult(
            runs,
            iterations,
            curves,
            content["timing"],
            [each["fingerprint"] for each in content["runs"]],
        )
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    lost = []
    if stage is VALIDATION:
        validated = {run.run for run in runs if isinstance(run, ValidationRun)}
        lost = [run for run in map(run_of, config["runs"]) if run not in validated]
    groups = group_runs(runs, diverged(curves), config["label"], lost)
    return Finished(path, groups, result)


def _run(labels: Mapping[str, Any]) -> AnyRun:
    rest = dict(labels)
    scheme = rest.pop("scheme", None)
    run = run_of(rest)
    return run if scheme is None else ValidationRun(scheme, run)


def name_by_folder(found: Sequence[Finished]) -> list[Finished]:
    """The same, with the folder in the names and labels of all groups where there are several.

    Folders of the same name are told apart by as much of their paths as it takes.
    """
    if len(found) == 1:
        return list(found)
    names = _names([each.path for each in found])
    return [
        each._replace(
            groups=[
                group._replace(
                    name=f"{name}: {group.name}", labels={"folder": name, **group.labels}
                )
                for group in each.groups
            ]
        )
        for name, each in zip(names, found, strict=True)
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as they have to be for all of them to differ.

    Examples:
      >>> _names([Path("a/run"), Path("b/run")])
      ['a/run', 'b/run']
    """
    parts = [path.resolve().parts for path in paths]
    ends = (["/".join(each[-length:]) for each in parts] for length in itertools.count(1))
    return next(names for names in ends if len(set(names)) == len(names))


def last_evaluations(found: Sequence[Finished]) -> tuple[list[Group], StageResult]:
    """The last evaluations of all folders as one result, and the groups of its runs.

    What one folder has and another has not is undefined in the other. Timing is that of all.
    """
    groups, offset = [], 0
    for each in found:
        groups += [group._replace(rows=group.rows + offset) for group in each.groups]
        offset += len(each.result.runs)
    names = dict.fromkeys(name for each in found for name in each.result.curves)
    curves = {name: np.concatenate([_last(each.result, name) for each in found]) for name in names}
    totals = {
        name: sum(each.result.timing[name] for each in found)
        for name in found[0].result.timing
        if name != "iterations_per_second"
    }
    iterations = sum(
        each.result.timing["iterations_per_second"] * each.result.timing["train_seconds"]
        for each in found
    )
    result = StageResult(
        [run for each in found for run in each.result.runs],
        np.array([max(each.result.iterations[-1] for each in found)]),
        curves,
        {**totals, "iterations_per_second": iterations / totals["train_seconds"]},
        [digest for each in found for digest in each.result.fingerprints],
    )
    return groups, result


def _last(result: StageResult, name: str) -> np.ndarray:
    curve = result.curves.get(name)
    return np.full((len(result.runs), 1), np.nan) if curve is None else curve[:, -1:]
