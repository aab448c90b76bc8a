"""The parts of a sweep, trained by processes that knew nothing of each other, put together."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl import records
from jaxparl.checkpoint import load_weights, save_weights
from jaxparl.experiment import draw_curves, group_of
from jaxparl.records import RunFolder
from jaxparl.run_state import Weights
from jaxparl.runs import AnyRun, Entrant, RunId, describe, run_of

# What the parts of one sweep need not have in common.
_OWN = ("runs", "shard", "versions", "machine")
_NAMED_AT_MOST = 12


class Part(NamedTuple):
    """One part of a sweep: where it is, and what its config.json says."""

    path: Path
    config: dict[str, Any]


class Joined(NamedTuple):
    """What the parts have found: see `phase.Outcome`."""

    iterations: np.ndarray
    curves: dict[str, np.ndarray]
    timing: dict[str, float]
    fingerprints: list[str]


def merge(path: Path, out: Path | None = None) -> Path:
    """Joins the parts in a folder into one run folder, the runs in the order of the whole sweep.

    Args:
      path: the --out that the parts had.
      out: where the whole goes, new or empty; by default `merged`, beside the parts.

    Returns:
      Where it is.

    Raises:
      ValueError: the parts are of different sweeps, or runs are missing; it says which.
      OSError: there are no parts, or the place cannot be had.
    """
    parts = _parts(path)
    config = parts[0].config
    _check_alike(parts)
    is_validated = config["validate"] or config["principal"] is not None
    _check_complete(path, parts, "validation" if is_validated else "summary")
    with contextlib.closing(RunFolder(out or path / "merged")) as folder:
        _merge_into(folder, parts, is_validated)
        return folder.path


def _merge_into(folder: RunFolder, parts: Sequence[Part], is_validated: bool) -> None:
    config = parts[0].config
    runs = [run_of(labels) for labels in config["of_runs"]]
    common = {name: value for name, value in config.items() if name not in _OWN}
    folder.write_config({**common, "shard": None}, runs)
    if config["principal"] is None:
        weights = [vars(load_weights(part.path / "checkpoints" / "final")) for part in parts]
        joined: dict[str, Any] = jax.tree.map(lambda *leaves: np.concatenate(leaves), *weights)
        save_weights(folder.path / "checkpoints" / "final", Weights(**joined))
        whole = _join(folder, parts, runs, "metrics", "summary")
        groups = [group_of(config["label"], run) for run in runs]
        draw_curves(folder.path / "figure.png", groups, whole.iterations, whole.curves)
        folder.write_summary(*whole)
    if is_validated:
        entrants = [Entrant(scheme, run) for part in parts for scheme, run in _entrants(part)]
        whole = _join(folder, parts, entrants, "validation", "validation")
        schemes = [entrant.scheme for entrant in entrants]
        draw_curves(folder.path / "validation.png", schemes, whole.iterations, whole.curves)
        folder.write_comparison(schemes, *whole[1:])


def _parts(path: Path) -> list[Part]:
    found = [
        Part(folder, records.read_config(folder))
        for folder in path.glob("shard-*-of-*")
        if (folder / "config.json").exists()
    ]
    if not found:
        raise FileNotFoundError(f"no parts in {path}: it has no folder shard-I-of-N with a run")
    return sorted(found, key=lambda part: part.config["shard"])


def _check_alike(parts: Sequence[Part]) -> None:
    """Refuses parts of different sweeps."""
    first = parts[0]

    def common(part: Part) -> dict[str, Any]:
        shared = {name: value for name, value in part.config.items() if name not in _OWN}
        return {**shared, "shard": {"N": part.config["shard"][1]}}

    for part in parts[1:]:
        differences = records.different(common(part), common(first))
        if differences:
            raise ValueError(
                f"{part.path.name} and {first.path.name} are parts of different sweeps: "
                f"{'; '.join(differences)}"
            )


def _check_complete(path: Path, parts: Sequence[Part], last_file: str) -> None:
    """Refuses a sweep of which runs are missing, and names them."""
    done = [part for part in parts if (part.path / f"{last_file}.json").exists()]
    present = {run_of(labels) for part in done for labels in part.config["runs"]}
    missing = [run for run in map(run_of, parts[0].config["of_runs"]) if run not in present]
    if missing:
        names = "; ".join(describe(run) for run in missing[:_NAMED_AT_MOST])
        more = len(missing) - _NAMED_AT_MOST
        raise ValueError(
            f"{path} lacks {len(missing)} of {len(present) + len(missing)} runs, those of "
            f"{_names_of_missing(parts, done)}: {names}{f'; and {more} more' if more > 0 else ''}"
        )


def _names_of_missing(parts: Sequence[Part], done: Sequence[Part]) -> str:
    count = parts[0].config["shard"][1]
    have = {part.config["shard"][0] for part in done}
    begun = {part.config["shard"][0] for part in parts} - have
    names = [
        records.shard_name(index, count) + (" (not finished)" if index in begun else "")
        for index in range(count)
        if index not in have
    ]
    return ", ".join(names)


def _join(
    folder: RunFolder, parts: Sequence[Part], runs: Sequence[AnyRun], name: str, summary: str
) -> Joined:
    """Puts NAME.csv and NAME.npz of the parts together."""
    arrays = [dict(np.load(part.path / f"{name}.npz")) for part in parts]
    iterations = arrays[0]["iteration"]
    curves = {
        field: np.concatenate([part[field] for part in arrays])
        for field, values in arrays[0].items()
        if values.ndim == 2  # [R, evaluations]; the others say which run is which
    }
    told = [json.loads((part.path / f"{summary}.json").read_text()) for part in parts]
    seconds = sum(part["timing"]["train_seconds"] for part in told)
    timing = {
        "compile_seconds": sum(part["timing"]["compile_seconds"] for part in told),
        "setup_seconds": sum(part["timing"]["setup_seconds"] for part in told),
        "train_seconds": seconds,
        "iterations_per_second": float(iterations[-1]) * len(runs) / seconds,
    }
    folder.start_metrics(runs, iterations, curves, name)
    folder.write_arrays(runs, iterations, curves, name)
    digests = [digest for part in told for digest in part["fingerprints"]]
    return Joined(iterations, curves, timing, digests)


def _entrants(part: Part) -> list[tuple[str, RunId]]:
    """Which schemes and runs the rows of a part's validation are."""
    arrays = np.load(part.path / "validation.npz")
    fields = [name for name in part.config["runs"][0] if name in arrays]
    return [
        (str(scheme), run_of({name: arrays[name][row].item() for name in fields}))
        for row, scheme in enumerate(arrays["scheme"])
    ]
