"""Joins the parts of a sweep, each trained by a process of its own, into a whole."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl.experiment import console, provenance, run_folder
from jaxparl.experiment.checkpoint import load_weights, save_weights
from jaxparl.experiment.recording import record
from jaxparl.experiment.results import StageResult, diverged, stage_timing
from jaxparl.experiment.run_folder import RunFolder, shard_name
from jaxparl.experiment.stage import TRAINING, VALIDATION, Stage
from jaxparl.experiment.statistics import group_runs
from jaxparl.learning.state import Weights
from jaxparl.training.runs import AnyRun, RunId, ValidationRun, describe, run_of

# What the parts of one sweep need not have in common.
_OWN = ("format", "runs", "shard", "slurm_array", "options", "versions", "machine", "source")
_MOST_NAMED = 12


class TrainedPart(NamedTuple):
    """One part of a sweep: where it is, and the content of its config.json."""

    path: Path
    config: dict[str, Any]


def merge(path: Path, out: Path | None = None) -> Path:
    """Joins the parts in a folder into one run folder, the runs in the order of the whole sweep.

    Args:
      path: the --out that the parts had.
      out: where the whole goes, new or empty; by default `merged`, beside the parts.

    Returns:
      Where it is.

    Raises:
      ValueError: the parts are of different sweeps, or of a version that cannot be merged, or runs
        are missing; the message names them.
      OSError: there are no parts, or the folder cannot be created.
    """
    parts = _find_parts(path)
    config = parts[0].config
    _check_same_sweep(parts)
    _check_complete(path, parts, VALIDATION if _is_validated(config) else TRAINING)
    with contextlib.closing(RunFolder(out or path / "merged")) as folder:
        join(folder, parts)
        return folder.path


def join(folder: RunFolder, parts: Sequence[TrainedPart]) -> None:
    """Writes to an empty folder the whole that the first of the parts names as that of all.

    Args:
      folder: of the whole.
      parts: all of which are finished; together they have all runs.
    """
    config = parts[0].config
    runs = [run_of(labels) for labels in config["of_runs"]]
    common = {
        name: value for name, value in config.items() if name not in (*_OWN, "extended_after")
    }
    # Where results come from is where they were computed, not where they are joined.
    from_there = ("options", "extended_after", "versions", "machine", "source")
    origin = {name: config[name] for name in from_there if name in config}
    folder.write_config({**common, "shard": None}, runs, **origin)
    if config["principal"] is None:
        found = [run_of(labels) for part in parts for labels in part.config["runs"]]
        order = np.array([found.index(run) for run in runs])
        weights = [vars(load_weights(part.path / "checkpoints" / "final")) for part in parts]
        joined: dict[str, Any] = jax.tree.map(
            lambda *leaves: np.concatenate(leaves)[order], *weights
        )
        save_weights(folder.path / "checkpoints" / "final", Weights(**joined))
        _write_stage(folder, TRAINING, config["label"], _join(parts, found, order, TRAINING))
    if _is_validated(config):
        parts = [part for part in parts if _has_finished(part, VALIDATION)]
        schemes = [run for part in parts for run in _validation_runs(part)]
        order = np.argsort([runs.index(scheme.run) for scheme in schemes], kind="stable")
        validated = {scheme.run for scheme in schemes}
        lost = [run for run in runs if run not in validated]
        result = _join(parts, schemes, order, VALIDATION)
        _write_stage(folder, VALIDATION, config["label"], result, lost)


def _is_validated(config: Mapping[str, Any]) -> bool:
    return config["validate"] or config["principal"] is not None


def _write_stage(
    folder: RunFolder,
    stage: Stage,
    game_label: str,
    result: StageResult,
    lost: Sequence[RunId] = (),
) -> None:
    folder.start_metrics(result.runs, result.iterations, result.curves, stage.metrics)
    groups = group_runs(result.runs, diverged(result.curves), game_label, lost)
    record(folder, stage, groups, result)


def _find_parts(path: Path) -> list[TrainedPart]:
    found = [
        TrainedPart(folder, run_folder.read_config(folder))
        for folder in path.glob("shard-*-of-*")
        if (folder / "config.json").exists()
    ]
    if not found:
        raise FileNotFoundError(f"no parts in {path}: it has no folder shard-I-of-N with a run")
    for part in found:
        remedy = "merge the parts with that version"
        provenance.check_format(part.config, part.path, "merge", remedy=remedy)
    return sorted(found, key=lambda part: part.config["shard"])


def _check_same_sweep(parts: Sequence[TrainedPart]) -> None:
    """Refuses parts of different sweeps."""
    first = parts[0]

    def common(part: TrainedPart) -> dict[str, Any]:
        shared = {name: value for name, value in part.config.items() if name not in _OWN}
        return {**shared, "shard": {"N": part.config["shard"][1]}}

    for part in parts[1:]:
        differences = provenance.differences(common(part), common(first))
        if differences:
            raise ValueError(
                f"{part.path.name} and {first.path.name} are parts of different sweeps: "
                f"{'; '.join(differences)}"
            )
        for change in provenance.changed_origin(part.config, first.config):
            console.warn(
                f"{part.path.name} was trained with other versions or on another machine than "
                f"{first.path.name}, and bits may differ: {change}"
            )


def _check_complete(path: Path, parts: Sequence[TrainedPart], last: Stage) -> None:
    """Refuses a sweep of which runs are missing, and names them."""
    done = [part for part in parts if _has_finished(part, last) or _is_lost(part)]
    present = {run_of(labels) for part in done for labels in part.config["runs"]}
    missing = [run for run in map(run_of, parts[0].config["of_runs"]) if run not in present]
    if missing:
        names = "; ".join(describe(run) for run in missing[:_MOST_NAMED])
        more = len(missing) - _MOST_NAMED
        raise ValueError(
            f"{path} lacks {len(missing)} of {len(present) + len(missing)} runs, those of "
            f"{_missing_parts(parts, done)}: {names}{f'; and {more} more' if more > 0 else ''}"
        )


def _has_finished(part: TrainedPart, stage: Stage) -> bool:
    return (part.path / f"{stage.summary}.json").exists()


def _is_lost(part: TrainedPart) -> bool:
    """Whether every run of a part has diverged in training: then nothing follows."""
    if not _has_finished(part, TRAINING):
        return False
    content = json.loads((part.path / f"{TRAINING.summary}.json").read_text())
    return all(run["diverged"] for run in content["runs"])


def _missing_parts(parts: Sequence[TrainedPart], done: Sequence[TrainedPart]) -> str:
    count = parts[0].config["shard"][1]
    finished = {part.config["shard"][0] for part in done}
    begun = {part.config["shard"][0] for part in parts} - finished
    names = [
        shard_name(index, count) + (" (not finished)" if index in begun else "")
        for index in range(count)
        if index not in finished
    ]
    return ", ".join(names)


def _join(
    parts: Sequence[TrainedPart], runs: Sequence[AnyRun], order: np.ndarray, stage: Stage
) -> StageResult:
    """What the parts have found in a stage, of their runs, which are brought into an order."""
    arrays = [dict(np.load(part.path / f"{stage.metrics}.npz")) for part in parts]
    iterations = arrays[0]["iteration"]
    curves = {
        field: np.concatenate([part[field] for part in arrays])[order]
        for field, values in arrays[0].items()
        if values.ndim == 2  # [R, evaluations]; the others say which run is which
    }
    summaries = [json.loads((part.path / f"{stage.summary}.json").read_text()) for part in parts]
    totals = {
        name: sum(content["timing"][name] for content in summaries)
        for name in ("compile_seconds", "setup_seconds", "train_seconds")
    }
    digests = [run["fingerprint"] for content in summaries for run in content["runs"]]
    return StageResult(
        runs=[runs[number] for number in order],
        iterations=iterations,
        curves=curves,
        timing=stage_timing(**totals, iterations=float(iterations[-1]) * len(runs)),
        fingerprints=[digests[number] for number in order],
    )


def _validation_runs(part: TrainedPart) -> list[ValidationRun]:
    """The runs of a part's validation, in the order of its rows."""
    arrays = np.load(part.path / f"{VALIDATION.metrics}.npz")
    fields = [name for name in part.config["runs"][0] if name in arrays]

    def run(row: int) -> RunId:
        return run_of({name: arrays[name][row].item() for name in fields})

    return [ValidationRun(str(scheme), run(row)) for row, scheme in enumerate(arrays["scheme"])]
