"""One stage of an experiment, from its beginning or from a checkpoint to its end or to a signal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from jaxparl.config import Config
from jaxparl.evaluation.episodes import NUM_EPISODES
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.experiment import console
from jaxparl.experiment.checkpoint import Checkpoints, Snapshot, fingerprints
from jaxparl.experiment.processes import any_process
from jaxparl.experiment.results import StageResult, diverged, losses, stage_timing
from jaxparl.experiment.run_folder import RunFolder
from jaxparl.experiment.signals import CheckpointSchedule, Interruption
from jaxparl.experiment.tracking import Tracking
from jaxparl.training import sweep
from jaxparl.training.devices import key_data, to_devices
from jaxparl.training.runs import AnyRun, describe
from jaxparl.training.sweep import CompiledRuns, Progress, Run

_Kept = TypeVar("_Kept")


class Stage(NamedTuple):
    """What a stage is called, and what its files are called.

    Attributes:
      activity: in the progress line; also the folder of its checkpoints.
      metrics: the name of its .csv and .npz.
      summary: the name of its .json, which it writes last.
      figure: the name of its .png.
      episode: the name of its .gif.
      title: of its closing table.
      keeps_state: whether the state after the last iteration is kept, so that more may follow.
    """

    activity: str
    metrics: str
    summary: str
    figure: str
    episode: str
    title: str
    keeps_state: bool


TRAINING = Stage(
    activity="training",
    metrics="metrics",
    summary="summary",
    figure="figure",
    episode="episode",
    title="Learned beside exact: the last evaluation",
    keeps_state=True,
)
VALIDATION = Stage(
    activity="validating",
    metrics="validation",
    summary="validation",
    figure="validation",
    episode="validation",
    title="Black-box agents under each scheme: the last evaluation",
    keeps_state=False,
)


class StoppedError(Exception):
    """A signal stopped the runs; their state has been saved.

    Attributes:
      signal: its number.
      iteration: the last iteration of all runs.
    """

    def __init__(self, number: int, iteration: int):
        super().__init__(f"stopped by signal {number} at iteration {iteration:,}")
        self.signal = number
        self.iteration = iteration


def run_stage(
    config: Config,
    compiled: CompiledRuns,
    folder: RunFolder,
    stage: Stage,
    *,
    keep: Callable[[Run, np.ndarray], _Kept],
    checkpoint_seconds: float | None = None,
    is_part: bool = False,
    tracking: Tracking | None = None,
) -> tuple[StageResult, _Kept]:
    """Runs a stage to its end, from the newest checkpoint in the folder if it has one.

    Args:
      config: of all runs.
      compiled: their programs.
      folder: where evaluations are recorded, and checkpoints saved.
      stage: which stage it is.
      keep: `(runs, has_diverged)`, what to keep of all runs `[rows, ...]` at the end, given which
        of them have diverged, `[R]` bool. The rest is freed, so that what follows has the memory.
      checkpoint_seconds: see `CheckpointSchedule`.
      is_part: whether the runs will be joined with others, even if all of them diverge.
      tracking: gets every evaluation; none by default.

    Returns:
      What the stage has found, and what was kept.

    Raises:
      DamagedCheckpointError: the newest checkpoint does not hold what was written.
      StoppedError: a signal came.
      FloatingPointError: every run has diverged, and these are all that there are.
    """
    checkpoints = Checkpoints(folder.path / "checkpoints" / stage.activity, compiled.shapes)
    console.compiled(compiled.compile_seconds)
    began = time.perf_counter()
    past, runs = _resume_or_start(checkpoints, compiled)
    setup_seconds = time.perf_counter() - began
    record = _Record(config, compiled.runs, folder, stage, past, tracking=tracking)
    schedule = CheckpointSchedule(checkpoint_seconds)
    line = console.ProgressLine(config, compiled.runs, stage.activity)
    seconds = past.seconds
    with Interruption() as interruption, line:
        for progress in sweep.run(config, compiled, runs, past.evaluations, past.seconds):
            runs, seconds = progress.runs, progress.seconds
            line.update(progress, record.add(progress))
            if not is_part:
                record.check_not_all_diverged()
            stop = any_process(interruption.signal or 0)
            is_last = progress.evaluations == config.num_evaluations
            is_kept = is_last and stage.keeps_state
            if stop or is_kept or any_process(not is_last and schedule.is_due()):
                _save(checkpoints, progress, record.curves(), schedule)
            if stop:
                raise StoppedError(stop, progress.evaluations * config.evaluation_interval)
    digests = fingerprints(key_data(runs))[: len(compiled.runs)]
    if stage.keeps_state:
        checkpoints.keep_newest()
    checkpoints.close()
    took = compiled.compile_seconds, setup_seconds, seconds
    return record.result(took, digests), keep(runs, record.has_diverged)


class _Record:
    """The evaluations so far, in memory and in the folder; NaN from where a run has diverged.

    Args:
      config: of all runs.
      runs: which runs.
      folder: where evaluations are recorded.
      stage: which stage it is.
      past: the evaluations before this process.
      tracking: gets every evaluation of this process, too.

    Attributes:
      iterations: those of all evaluations, `[evaluations]`.
      has_diverged: `[R]` bool, which runs have diverged so far.
    """

    def __init__(
        self,
        config: Config,
        runs: Sequence[AnyRun],
        folder: RunFolder,
        stage: Stage,
        past: Snapshot,
        *,
        tracking: Tracking | None,
    ):
        interval = config.evaluation_interval
        self.iterations = interval * np.arange(1, config.num_evaluations + 1)
        self._runs, self._folder, self._stage = runs, folder, stage
        self._tracking = tracking or Tracking(None, folder.path, stage.activity, runs)
        self._tracking.start(past.evaluations * interval)
        self._columns = {name: [*values.T] for name, values in past.curves.items()}
        self.has_diverged = diverged(past.curves) if past.curves else np.zeros(len(runs), bool)
        self._is_unfinished = np.zeros(len(runs), bool)
        done = self.iterations[: past.evaluations]
        folder.start_metrics(runs, done, past.curves, stage.metrics)

    def add(self, progress: Progress) -> dict[str, np.ndarray]:
        """Records an evaluation; returns its metrics, `[R]` each."""
        iteration = int(self.iterations[progress.evaluations - 1])
        metrics = self._mask(vars(progress.metrics), iteration)
        for name, values in metrics.items():
            self._columns.setdefault(name, []).append(values)
        self._folder.append_metrics(self._runs, iteration, metrics, self._stage.metrics)
        self._tracking.log(iteration, metrics)
        return metrics

    def check_not_all_diverged(self) -> None:
        """Checks that there is a run left.

        Raises:
          FloatingPointError: every run has diverged.
        """
        if self.has_diverged.all():
            is_alone = len(self._runs) == 1
            raise FloatingPointError("the run diverged" if is_alone else "every run has diverged")

    def curves(self) -> dict[str, np.ndarray]:
        """Every metric so far, `[R, evaluations]`."""
        return {name: np.stack(values, axis=1) for name, values in self._columns.items()}

    def result(self, took: tuple[float, float, float], digests: list[str]) -> StageResult:
        """What the stage has found, given the seconds of compiling, setting up and running."""
        iterations = int(self.iterations[-1]) * len(self._runs)
        timing = stage_timing(*took, iterations=iterations)
        return StageResult(self._runs, self.iterations, self.curves(), timing, digests)

    def _mask(self, metrics: Mapping[str, np.ndarray], iteration: int) -> dict[str, np.ndarray]:
        """The metrics, NaN where a run has diverged; warns of those that have done so just now."""
        for name, values in losses(metrics).items():
            for number in np.flatnonzero(~np.isfinite(values) & ~self.has_diverged):
                self.has_diverged[number] = True
                console.warn(
                    f"{describe(self._runs[int(number)])} has diverged: {name} is "
                    f"{values[number]} at iteration {iteration:,}. Try a smaller "
                    "--learning-rate, or --loss huber and --max-gradient-norm 10"
                )
        episodes = metrics.get("episodes", np.full(len(self._runs), NUM_EPISODES))
        unfinished = (episodes < NUM_EPISODES) & ~self.has_diverged
        for number in np.flatnonzero(unfinished & ~self._is_unfinished):
            self._is_unfinished[number] = True
            run = describe(self._runs[int(number)])
            console.warn(
                f"{run} has no evaluation at iteration {iteration:,}: its episodes do not end "
                f"within {LONGEST_EPISODE:,} steps. Give the params of the game a time limit, "
                "max_steps_in_episode"
            )
        return {
            name: np.where(self.has_diverged, np.nan, values) for name, values in metrics.items()
        }


def _resume_or_start(checkpoints: Checkpoints, compiled: CompiledRuns) -> tuple[Snapshot, Run]:
    """Where the runs stand, and the runs: of the newest checkpoint, or before the first iteration.

    The snapshot is returned without its state, which would take memory a second time.
    """
    newest = checkpoints.latest()
    if newest is None:
        past, runs = Snapshot(0, 0.0, {}, None), compiled.start()
    else:
        past = checkpoints.restore(newest, compiled.shapes)
        runs = to_devices(compiled.layout, compiled.shapes, past.state)
    return past._replace(state=None), jax.block_until_ready(runs)


def _save(
    checkpoints: Checkpoints,
    progress: Progress,
    curves: dict[str, np.ndarray],
    schedule: CheckpointSchedule,
) -> None:
    start = time.monotonic()
    state = key_data(progress.runs)
    checkpoints.save(Snapshot(progress.evaluations, progress.seconds, curves, state))
    schedule.record(time.monotonic() - start)
