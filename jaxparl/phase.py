"""One phase of an experiment: chunk after chunk, recorded, checkpointed, and stopped if need be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxparl import report, sweep
from jaxparl.checkpoint import Checkpoints, Snapshot, fingerprints
from jaxparl.config import Config
from jaxparl.interruption import Interruption, Pace
from jaxparl.layout import numbers, put
from jaxparl.processes import any_process
from jaxparl.records import RunFolder
from jaxparl.runs import AnyRun, describe
from jaxparl.sweep import Sweep
from jaxparl.types import PyTree


class Phase(NamedTuple):
    """What a phase is called.

    Attributes:
      doing: in the progress line.
      name: of its files.
    """

    doing: str
    name: str


TRAINING = Phase("training", "metrics")
VALIDATION = Phase("validating", "validation")


class Outcome(NamedTuple):
    """What a finished phase leaves.

    Attributes:
      iterations: of the evaluations, `[evaluations]`.
      curves: `[R, evaluations]` each; NaN from where a run has diverged.
      timing: what took how long.
      state: all runs after the last iteration.
      fingerprints: a digest of each run's state, `[R]`: equal where every bit is.
    """

    iterations: np.ndarray
    curves: dict[str, np.ndarray]
    timing: dict[str, float]
    state: PyTree
    fingerprints: list[str]


class StoppedError(Exception):
    """A signal came, and where the runs stand has been written down.

    Attributes:
      signal: its number.
      iteration: how far the runs have come.
    """

    def __init__(self, number: int, iteration: int):
        super().__init__(f"stopped by signal {number} at iteration {iteration:,}")
        self.signal = number
        self.iteration = iteration


def go(
    config: Config,
    compiled: Sweep,
    folder: RunFolder,
    phase: Phase,
    checkpoint_seconds: float | None = None,
) -> Outcome:
    """Runs a compiled sweep to its end, from the newest checkpoint in the folder if it has one.

    Raises:
      DamagedCheckpointError: that one is not what was written.
      StoppedError: a signal came.
      FloatingPointError: every run has diverged.
    """
    runs = compiled.runs
    every = config.evaluation_interval
    iterations = every * np.arange(1, config.iterations // every + 1)
    checkpoints = Checkpoints(folder.path / "checkpoints" / phase.doing, compiled.shapes)
    report.compiled(compiled.compile_seconds)
    start = time.perf_counter()
    past, state = _begun(checkpoints, compiled)
    setup_seconds = time.perf_counter() - start
    folder.start_metrics(runs, iterations[: past.chunk], past.curves, phase.name)
    curves = {name: [*values.T] for name, values in past.curves.items()}
    pace, seconds = Pace(checkpoint_seconds), past.seconds
    lost = _diverged_in(past.curves, len(runs))
    progress_line = report.ProgressLine(config, len(runs), phase.doing)
    with Interruption() as interruption, progress_line as line:
        for progress in sweep.train(config, compiled, state, past.chunk, seconds):
            done, state, seconds = progress.chunk, progress.state, progress.seconds
            iteration = int(iterations[done - 1])
            metrics = _masked(runs, iteration, vars(progress.metrics), lost)
            for name, values in metrics.items():
                curves.setdefault(name, []).append(values)
            folder.append_metrics(runs, iteration, metrics, phase.name)
            line.update(progress._replace(metrics=metrics))
            _stop_if_all(runs, lost)
            is_last = done == len(iterations)
            stop = any_process(interruption.signal or 0)
            if stop or any_process(not is_last and pace.is_due()):
                start = time.monotonic()
                columns = {name: np.stack(values, axis=1) for name, values in curves.items()}
                checkpoints.save(Snapshot(done, seconds, columns, numbers(state)))
                pace.took(time.monotonic() - start)
            if stop:
                raise StoppedError(stop, iteration)
    timing = {
        "compile_seconds": compiled.compile_seconds,
        "setup_seconds": setup_seconds,
        "train_seconds": seconds,
        "iterations_per_second": config.iterations * len(runs) / seconds,
    }
    columns = {name: np.stack(values, axis=1) for name, values in curves.items()}
    digests = fingerprints(numbers(state))[: len(runs)]
    checkpoints.close()
    return Outcome(iterations, columns, timing, state, digests)


def _begun(checkpoints: Checkpoints, compiled: Sweep) -> tuple[Snapshot, PyTree]:
    """Where the sweep stands, and its state: of the newest checkpoint, or before the first chunk.

    The snapshot is left without its state, which would be there twice.
    """
    newest = checkpoints.latest()
    if newest is None:
        past, state = Snapshot(0, 0.0, {}, None), compiled.start()
    else:
        past = checkpoints.restore(newest, compiled.shapes)
        state = put(compiled.layout, compiled.shapes, past.state)
    return past._replace(state=None), jax.block_until_ready(state)


def _masked(
    runs: Sequence[AnyRun], iteration: int, metrics: Mapping[str, np.ndarray], lost: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics, NaN where a run is `lost` `[R]`; those lost just now are named and noted."""
    losses = {name: values for name, values in metrics.items() if name.endswith("loss")}
    for name, values in losses.items():
        for number in np.flatnonzero(~np.isfinite(values) & ~lost):
            lost[number] = True
            report.warn(
                f"{describe(runs[int(number)])} has diverged: {name} is {values[number]} at "
                f"iteration {iteration:,}. Try a smaller --learning-rate, or --loss huber and "
                "--max-gradient-norm 10"
            )
    return {name: np.where(lost, np.nan, values) for name, values in metrics.items()}


def _stop_if_all(runs: Sequence[AnyRun], lost: np.ndarray) -> None:
    if lost.all():
        raise FloatingPointError("every run has diverged" if len(runs) > 1 else "the run diverged")


def _diverged_in(curves: Mapping[str, np.ndarray], num_runs: int) -> np.ndarray:
    """`[R]` bool, the runs whose losses end without a number."""
    lost = np.zeros(num_runs, bool)
    for name, values in curves.items():
        if name.endswith("loss"):
            lost |= ~np.isfinite(values[:, -1])
    return lost
