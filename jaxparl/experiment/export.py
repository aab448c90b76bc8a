"""Writes finished runs in the forms that other tools read."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxparl.experiment import console, run_folder
from jaxparl.experiment.finished import Finished, name_by_folder, read_finished
from jaxparl.experiment.metrics_table import METRICS
from jaxparl.experiment.run_folder import atomic
from jaxparl.experiment.stage import TRAINING, VALIDATION, Stage
from jaxparl.experiment.statistics import Group


def export(
    folders: Sequence[Path], *, csv_file: Path | None = None, marl_eval: Path | None = None
) -> None:
    """Writes the runs of one or several folders to files.

    Validation is written where every folder has one, and training otherwise.

    Args:
      folders: of finished runs.
      csv_file: a row for every run and evaluation, with the folder and the labels of the run.
      marl_eval: JSON in the form of id-marl-eval: environment, task, algorithm, run, step.

    Raises:
      FileNotFoundError: a folder holds no run.
      ValueError: no file is asked for; a run is not finished; or marl-eval could not read it.
      OSError: a file cannot be written.
    """
    if not (csv_file or marl_eval):
        raise ValueError("say what to write: --csv FILE, --marl-eval FILE, or both")
    stage, found = _read(folders)
    # What cannot be written is found out before anything is.
    content = marl_eval_content(found) if marl_eval else None
    if csv_file:
        _write_csv(csv_file, found)
        console.note(f"{stage.activity}: {csv_file}")
    if marl_eval:
        marl_eval.parent.mkdir(parents=True, exist_ok=True)
        with atomic(marl_eval) as target:
            target.write_text(json.dumps(content, indent=1) + "\n")
        console.note(f"{stage.activity}: {marl_eval}")


def _read(folders: Sequence[Path]) -> tuple[Stage, list[Finished]]:
    for stage in (VALIDATION, TRAINING):
        found = [each for folder in folders if (each := read_finished(folder, stage))]
        if len(found) == len(folders):
            return stage, name_by_folder(found)
    unfinished = [folder for folder in folders if read_finished(folder, TRAINING) is None]
    # Folders that have different stages alone, such as one of --principal, have none in common.
    which = unfinished[0] if unfinished else folders[0]
    raise ValueError(f"the run in {which} is not finished, or not of the same stage as the others")


def _write_csv(path: Path, found: Sequence[Finished]) -> None:
    """Writes all evaluations of all runs; what a run does not have is empty."""
    rows = []
    for each in found:
        result = each.result
        for row, run in enumerate(result.runs):
            for number, iteration in enumerate(result.iterations):
                values = {
                    name: f"{curve[row, number]:.8g}" for name, curve in result.curves.items()
                }
                labels = {"folder": str(each.path), **run.labels(), "iteration": int(iteration)}
                rows.append(labels | values)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as target, target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def marl_eval_content(found: Sequence[Finished]) -> dict[str, Any]:
    """What id-marl-eval reads: environment, task, algorithm, run and step, and the last values.

    A task is a game, an algorithm a scheme or a setting. Runs that have diverged are left out, and
    so are metrics that are undefined somewhere, as all runs must have the same ones.

    Raises:
      ValueError: groups differ in how many runs or evaluations they have, which it does not read.
    """
    _check_alike(found)
    metrics = _common_metrics(found)
    content: dict[str, Any] = {}
    for each in found:
        environment = run_folder.read_config(each.path)["environment"]
        for group in each.groups:
            task, algorithm = _task_and_algorithm(group)
            runs = content.setdefault(environment, {}).setdefault(task, {})
            runs[algorithm] = {
                f"seed_{seed}": _steps(each, row, metrics)
                for seed, row, is_sound in zip(group.seeds, group.rows, group.sound, strict=True)
                if is_sound
            }
    return content


def _check_alike(found: Sequence[Finished]) -> None:
    for what, counts in (
        ("sound runs", {group.name: group.num_sound for each in found for group in each.groups}),
        ("evaluations", {str(each.path): len(each.result.iterations) for each in found}),
    ):
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise ValueError(f"marl-eval reads groups of as many {what} each alone: {said}")


def _common_metrics(found: Sequence[Finished]) -> list[str]:
    """The names of the metrics that every sound run has at every evaluation."""

    def is_common(name: str) -> bool:
        return all(
            name in each.result.curves and np.isfinite(group.values(each.result.curves[name])).all()
            for each in found
            for group in each.groups
        )

    common = [metric.name for metric in METRICS if is_common(metric.name)]
    if not common:
        raise ValueError("the runs have no metric in common")
    return common


def _task_and_algorithm(group: Group) -> tuple[str, str]:
    """The game of a group, and what else it is; the names of algorithms must be without commas."""
    labels = dict(group.labels)
    task = f"game {labels.pop('game')}"
    folder, scheme = labels.pop("folder", None), labels.pop("scheme", None)
    settings = [f"{name} {value}" for name, value in labels.items()]
    parts = [part for part in (folder, scheme, *settings) if part]
    return task, " ".join(parts or ["principal"]).replace(",", "")


def _steps(each: Finished, row: int, metrics: Sequence[str]) -> dict[str, Any]:
    """The evaluations of one run."""
    curves = {name: each.result.curves[name][row] for name in metrics}
    steps: dict[str, Any] = {
        f"step_{number}": {
            "step_count": int(iteration),
            **{name: [float(curve[number])] for name, curve in curves.items()},
        }
        for number, iteration in enumerate(each.result.iterations)
    }
    last = {name: [float(curve[-1])] for name, curve in curves.items()}
    return {**steps, "absolute_metrics": last}
