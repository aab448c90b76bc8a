"""The run folder: what was asked for, every evaluation of every run, and a summary.

config.json    settings, versions and machine, written before training starts
metrics.csv    one row per run and evaluation, appended while training
metrics.npz    the same as arrays [run, evaluation], with the game, seed and settings of each run
figure.png     the learning curves
checkpoints/   `final`, the weights after the last iteration, `[run, ...]`; before that, in a folder
               for each phase, the whole state of all runs to resume from
summary.json   mean, 95% interval and value per run of each metric's last evaluation; written last
validation.*   the same files of the validation phase, where there was one
*.gif          an episode in which all follow, and one of the black boxes of validation, of games
               that can be drawn
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np
from scipy import stats

from jaxparl.processes import any_process, by_first, is_first
from jaxparl.runs import AnyRun, RunId

_CONFIDENCE = 0.95
_PACKAGES = ("jaxparl", "jax", "jaxlib", "flax", "optax", "gymnax", "orbax-checkpoint", "numpy")


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Student's 95% interval for the mean of `[R]` values; None where R is 1."""
    if len(values) < 2:
        return None, None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
    return mean - half, mean + half


def half_interval(values: np.ndarray) -> float:
    """Half the width of `interval`; NaN where R is 1."""
    low, high = interval(values)
    return float("nan") if low is None or high is None else (high - low) / 2


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """The machine that a timing depends on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":", 1)[1].strip() if names else processor
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "devices": sorted({device.device_kind for device in jax.devices()}),
    }


def read_config(path: Path) -> dict[str, Any]:
    """What `RunFolder.write_config` recorded in the folder of an earlier run.

    Raises:
      FileNotFoundError: where there is none.
      ValueError: it is not what was recorded.
    """
    target = path / "config.json"
    if not target.exists():
        raise FileNotFoundError(f"no run in {path}: it has no config.json")
    try:
        content = json.loads(target.read_text())
    except ValueError as error:
        raise ValueError(f"{target} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{target} is damaged: it holds no settings")
    return content


def changed(path: Path, settings: Mapping[str, Any], runs: Sequence[RunId]) -> list[str]:
    """Which settings differ from those that made the run in a folder; see `different`."""
    asked, found = _asked(settings, runs), read_config(path)
    return different(asked, {name: found.get(name) for name in asked})


def _asked(settings: Mapping[str, Any], runs: Sequence[RunId]) -> dict[str, Any]:
    # As JSON has it: tuples are lists.
    asked = {**settings, "runs": [run.labels() for run in runs]}
    content: dict[str, Any] = json.loads(json.dumps(asked))
    return content


def shard_name(index: int, count: int) -> str:
    """The folder of a part, within that of the whole."""
    return f"shard-{index}-of-{count}"


def different(here: Any, there: Any, name: str = "") -> list[str]:
    """Says where two settings as JSON has them differ: `config.rates.nudge was 0.0, not 0.02`."""
    if isinstance(here, dict) and isinstance(there, dict):
        keys = dict.fromkeys([*here, *there])
        inner = [
            different(here.get(key), there.get(key), f"{name}.{key}" if name else key)
            for key in keys
        ]
        return [line for lines in inner for line in lines]
    if isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        inner = [
            different(*pair, f"{name}[{number}]")
            for number, pair in enumerate(zip(here, there, strict=True))
        ]
        # One stands for all.
        return next(filter(None, inner), [])
    return [] if here == there else [f"{name} was {_short(there)}, not {_short(here)}"]


class RunFolder:
    """Writes one sweep's results.

    It is made before anything is computed, so that a bad place for them is known at once. One
    process at a time has it; the lock goes with the process. Where several train one sweep
    together, all call every method, and the first of them writes.

    Args:
      path: the folder; it must be empty or not exist, unless it is to be resumed.
      resume: whether it may hold an earlier run, which is then gone on with.

    Raises:
      FileExistsError: where it holds something else.
      BlockingIOError: where another process is at work in it.
      OSError: where it cannot be made or written to.
    """

    def __init__(self, path: Path, resume: bool = False):
        self.path = path
        self._lock: IO[str] | None = None
        self._open(resume)

    @by_first
    def _open(self, resume: bool) -> None:
        path = self.path
        holds = path.exists() and (not path.is_dir() or any(_visible(path)))
        if holds and not (resume and (path / "config.json").exists()):
            hint = "" if resume else ", or --resume auto to go on with what it holds"
            what = "holds no run" if resume else "is not empty"
            raise FileExistsError(
                f"{path} exists and {what}; nothing was written. Choose another --out{hint}"
            )
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise BlockingIOError(
                f"another process is at work in {path}; nothing was written. Wait for it, or "
                "choose another --out"
            ) from None
        self._lock = lock

    def close(self) -> None:
        """Leaves the folder to others."""
        if self._lock is not None:
            self._lock.close()

    @by_first
    def write_config(self, settings: Mapping[str, Any], runs: Sequence[RunId]) -> list[str]:
        """Records what is about to be run, and on what; or checks it against what was recorded.

        Returns:
          Which versions have changed since.

        Raises:
          ValueError: the folder was made by other settings, naming those that differ.
        """
        if not (self.path / "config.json").exists():
            asked = _asked(settings, runs)
            self._write_json("config", {**asked, "versions": versions(), "machine": machine()})
            return []
        differences = changed(self.path, settings, runs)
        if differences:
            raise ValueError(
                f"{self.path} was made by other settings: {'; '.join(differences)}. Choose "
                "another --out, or give those settings"
            )
        return different(versions(), read_config(self.path).get("versions"))

    def start_metrics(
        self,
        runs: Sequence[AnyRun],
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Begins NAME.csv with the evaluations so far, `[R, evaluations]`; later ones are lost."""
        self._remove(f"{name}.csv")
        for number, iteration in enumerate(iterations):
            metrics = {field: values[:, number] for field, values in curves.items()}
            self.append_metrics(runs, int(iteration), metrics, name)

    @by_first
    def _remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    @by_first
    def append_metrics(
        self,
        runs: Sequence[AnyRun],
        iteration: int,
        metrics: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Adds one evaluation of all runs, `[R]` each, to NAME.csv."""
        target = self.path / f"{name}.csv"
        new = not target.exists()
        with target.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow([*runs[0].labels(), "iteration", *metrics])
            for index, run in enumerate(runs):
                values = [f"{float(column[index]):.8g}" for column in metrics.values()]
                writer.writerow([*run.labels().values(), iteration, *values])

    @by_first
    def write_arrays(
        self,
        runs: Sequence[AnyRun],
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Writes NAME.npz: curves `[R, evaluations]`, and what each run was."""
        labels = [run.labels() for run in runs]
        arrays = {
            **{field: np.array([label[field] for label in labels]) for field in labels[0]},
            "iteration": iterations,
            **curves,
        }
        with _whole(self.path / f"{name}.npz") as target, target.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    def read_arrays(
        self, runs: Sequence[AnyRun], name: str = "metrics"
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Reads what `write_arrays` wrote: iterations, and curves `[R, evaluations]`."""
        with np.load(self.path / f"{name}.npz") as arrays:
            labels = {*runs[0].labels(), "iteration"}
            curves = {field: arrays[field] for field in arrays if field not in labels}
            return arrays["iteration"], curves

    def has(self, name: str) -> bool:
        """Whether NAME.json, which is written last, is there, as the first process sees it."""
        return bool(any_process(is_first() and (self.path / f"{name}.json").exists()))

    @by_first
    def write_summary(
        self,
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        timing: Mapping[str, float],
        fingerprints: Sequence[str],
    ) -> None:
        """Writes summary.json from curves `[R, evaluations]`.

        `fingerprints` are digests of the runs' final states: equal where every bit is.
        """
        summary: dict[str, Any] = {
            name: summarise(values[:, -1]) for name, values in curves.items()
        }
        last_quarter = iterations > 0.75 * iterations[-1]
        for name in ("utility_ratio", "recommendation_accuracy", "welfare_ratio", "payment_share"):
            if name in curves:
                mean = curves[name][:, last_quarter].mean(axis=1)
                summary[f"{name}_last_quarter"] = summarise(mean)
        summary["timing"] = dict(timing)
        summary["fingerprints"] = list(fingerprints)
        self._write_json("summary", summary)

    @by_first
    def write_comparison(
        self,
        groups: Sequence[str],
        curves: Mapping[str, np.ndarray],
        timing: Mapping[str, float],
        fingerprints: Sequence[str],
    ) -> None:
        """Writes validation.json: the last evaluation of each metric, by the group of a run."""
        content: dict[str, Any] = {"timing": dict(timing), "fingerprints": list(fingerprints)}
        for group in dict.fromkeys(groups):
            rows = np.array([name == group for name in groups])
            content[group] = {name: summarise(curve[rows, -1]) for name, curve in curves.items()}
        self._write_json("validation", content)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with _whole(self.path / f"{name}.json") as target:
            target.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place when it is complete."""
    beside = path.with_name(f".{path.name}.part")
    yield beside
    beside.replace(path)


def _visible(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if not entry.name.startswith(".")]


def _short(value: Any) -> str:
    text = f"{len(value)} of them" if isinstance(value, list) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."


def summarise(values: np.ndarray) -> dict[str, Any]:
    """Mean, 95% interval over runs, and every run's own value, of `[R]` values.

    Runs without a number, as those that have diverged, are left out of the mean. What is not a
    number, as JSON has none, is None.
    """
    numbers = values[np.isfinite(values)]
    low, high = interval(numbers)
    return {
        "mean": float(np.mean(numbers)) if len(numbers) else None,
        "ci_low": low,
        "ci_high": high,
        "per_run": [float(value) if np.isfinite(value) else None for value in values],
    }
