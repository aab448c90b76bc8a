"""The run folder: what was asked for, every evaluation of every run, and a summary.

config.json    settings, versions and machine, written before training starts
metrics.csv    one row per run and evaluation, appended while training
metrics.npz    the same as arrays [run, evaluation], with the game, seed and settings of each run
figure.png     the learning curves
checkpoints/   `final`, the weights after the last iteration, `[run, ...]`; and in a folder for each
               stage the whole state of all runs, from which they are resumed, or go on
summary.json   each metric's last evaluation by group of runs that differ by their seeds: count,
               means, 95% interval and value per run; written last
validation.*   the same files of validation, where the principals were validated
*.gif          an episode in which all agents follow, and one of the black boxes of validation, of
               games that can be drawn
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxparl.experiment import provenance
from jaxparl.experiment.processes import any_process, by_first, is_first
from jaxparl.experiment.results import StageResult
from jaxparl.training.runs import AnyRun, RunId


def read_config(path: Path, name: str = "config.json") -> dict[str, Any]:
    """What `RunFolder.write_config` recorded in the folder of an earlier run.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is not what was recorded.
    """
    target = path / name
    if not target.exists():
        raise FileNotFoundError(f"no run in {path}: it has no {name}")
    try:
        content = json.loads(target.read_text())
    except ValueError as error:
        raise ValueError(f"{target} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{target} is damaged: it holds no settings")
    return content


def read_curves(path: Path, runs: Sequence[AnyRun], name: str = "metrics") -> dict[str, np.ndarray]:
    """The curves `[R, evaluations]` that `RunFolder.write_arrays` wrote in a folder.

    Raises:
      FileNotFoundError: the stage is not finished.
    """
    target = path / f"{name}.npz"
    if not target.exists():
        raise FileNotFoundError(f"the run in {path} is not finished: it has no {target.name}")
    with np.load(target) as arrays:
        labels = {*runs[0].labels(), "iteration"}
        return {field: arrays[field] for field in arrays if field not in labels}


def changed_settings(
    recorded: Mapping[str, Any], settings: Mapping[str, Any], runs: Sequence[RunId]
) -> list[str]:
    """Which settings differ from those `recorded` in a folder; see `provenance.differences`."""
    asked = with_runs(settings, runs)
    return provenance.differences(asked, {name: recorded.get(name) for name in asked})


def shard_name(index: int, count: int) -> str:
    """The folder of one part of a sweep, within that of the whole.

    Examples:
      >>> shard_name(0, 4)
      'shard-0-of-4'
    """
    return f"shard-{index}-of-{count}"


class RunFolder:
    """Writes one sweep's results.

    It is created before anything is computed, so that a place that cannot be written to is
    reported at once. One process at a time has it; the lock ends with the process. Where several
    processes run one sweep together, all of them call every method, and the first one writes.

    Args:
      path: the folder; it must be empty or not exist, unless its run is to be resumed.
      resume: whether it may hold an earlier run, which is then resumed.

    Raises:
      FileExistsError: it holds something else.
      BlockingIOError: another process is at work in it.
      OSError: it cannot be created or written to.
    """

    def __init__(self, path: Path, resume: bool = False):
        self.path = path
        self._lock: IO[str] | None = None
        self._open(resume)

    @by_first
    def _open(self, resume: bool) -> None:
        path = self.path
        is_taken = path.exists() and (not path.is_dir() or any(_visible(path)))
        if is_taken and not (resume and (path / "config.json").exists()):
            hint = "" if resume else ", or --resume auto to resume the run that it holds"
            reason = "holds no run" if resume else "is not empty"
            raise FileExistsError(
                f"{path} exists and {reason}; nothing was written. Choose another --out{hint}"
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
        """Releases the folder."""
        if self._lock is not None:
            self._lock.close()

    @by_first
    def write_config(
        self, settings: Mapping[str, Any], runs: Sequence[RunId], **remarks: Any
    ) -> list[str]:
        """Records what is about to be run, and on what; or compares it with what was recorded.

        Args:
          settings: those of the job and of this process, see `provenance`.
          runs: those of this process.
          remarks: what is recorded beside them, and never compared; or in place of the versions and
            the machine of this process.

        Returns:
          What of the versions and the machine has changed since it was recorded.

        Raises:
          ValueError: the folder was made with other settings, which the message names, or by a
            version of jaxparl whose runs cannot be resumed.
        """
        if not (self.path / "config.json").exists():
            self._record_config(settings, runs, remarks)
            return []
        recorded = read_config(self.path)
        remedy = "finish it with that version, or choose another --out"
        provenance.check_format(recorded, self.path, "resume", remedy=remedy)
        changes = changed_settings(recorded, settings, runs)
        if changes:
            raise ValueError(
                f"{self.path} was made with other settings: {'; '.join(changes)}. Choose "
                "another --out, or give those settings"
            )
        return provenance.changed_origin({**provenance.origin(), **remarks}, recorded)

    @by_first
    def rewrite_config(
        self, settings: Mapping[str, Any], runs: Sequence[RunId], **remarks: Any
    ) -> None:
        """Records other settings than those that the folder's run was begun with."""
        self._record_config(settings, runs, remarks)

    def _record_config(
        self, settings: Mapping[str, Any], runs: Sequence[RunId], remarks: Mapping[str, Any]
    ) -> None:
        asked = with_runs(settings, runs)
        content = {"format": provenance.FORMAT, **asked, **provenance.origin(), **remarks}
        self._write_json("config", content)

    @by_first
    def start_metrics(
        self,
        runs: Sequence[AnyRun],
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Begins NAME.csv with the evaluations `[R, evaluations]` so far, and drops all others."""
        (self.path / f"{name}.csv").unlink(missing_ok=True)
        for number, iteration in enumerate(iterations):
            metrics = {field: values[:, number] for field, values in curves.items()}
            self._append(runs, int(iteration), metrics, name)

    @by_first
    def append_metrics(
        self,
        runs: Sequence[AnyRun],
        iteration: int,
        metrics: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Adds one evaluation of all runs, `[R]` each, to NAME.csv."""
        self._append(runs, iteration, metrics, name)

    def _append(
        self, runs: Sequence[AnyRun], iteration: int, metrics: Mapping[str, np.ndarray], name: str
    ) -> None:
        target = self.path / f"{name}.csv"
        is_new = not target.exists()
        with _naming(target), target.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if is_new:
                writer.writerow([*runs[0].labels(), "iteration", *metrics])
            for index, run in enumerate(runs):
                values = [f"{float(column[index]):.8g}" for column in metrics.values()]
                writer.writerow([*run.labels().values(), iteration, *values])

    @by_first
    def write_arrays(self, result: StageResult, name: str = "metrics") -> None:
        """Writes NAME.npz: curves `[R, evaluations]`, and what each run was."""
        labels = [run.labels() for run in result.runs]
        arrays: dict[str, Any] = {
            **{field: np.array([label[field] for label in labels]) for field in labels[0]},
            "iteration": result.iterations,
            **result.curves,
        }
        with atomic(self.path / f"{name}.npz") as target, target.open("wb") as stream:
            np.savez(stream, **arrays)

    def read_curves(self, runs: Sequence[AnyRun], name: str = "metrics") -> dict[str, np.ndarray]:
        """The curves `[R, evaluations]` that `write_arrays` wrote."""
        return read_curves(self.path, runs, name)

    def has_summary(self, name: str) -> bool:
        """Whether NAME.json, which a stage writes last, exists, as the first process sees it."""
        return bool(any_process(is_first() and (self.path / f"{name}.json").exists()))

    @by_first
    def write_summary(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes NAME.json, by which a stage is known to be finished."""
        self._write_json(name, content)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with atomic(self.path / f"{name}.json") as target:
            target.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place when it is complete.

    Raises:
      OSError: it could not be written; what was there before is still there.
    """
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with _naming(path):
            yield beside
            beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Lets an error name the file that could not be written; that of an open file does not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _visible(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if not entry.name.startswith(".")]


def with_runs(settings: Mapping[str, Any], runs: Sequence[RunId]) -> dict[str, Any]:
    """Settings and runs as they are read back from config.json."""
    return provenance.as_json({**settings, "runs": [run.labels() for run in runs]})
