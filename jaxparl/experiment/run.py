"""Runs a job: trains principals, or reads them, and validates them; records each stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.evaluation.rollouts import all_follow
from jaxparl.experiment import console, recording
from jaxparl.experiment.checkpoint import discard, load_weights, save_weights
from jaxparl.experiment.job import Experiment, Principals
from jaxparl.experiment.recording import Playback
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.run_folder import RunFolder
from jaxparl.experiment.stage import TRAINING, VALIDATION, Stage, run_stage
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights, target_weights
from jaxparl.training.comparison import compile_validation, validation_runs
from jaxparl.training.devices import fetch, fetch_run
from jaxparl.training.runs import RunId, hyper_params_of
from jaxparl.training.sweep import CompiledRuns, Run, compile_training, draw_env_params, select_run
from jaxparl.validation import black_boxes

_Kept = TypeVar("_Kept")


def run(experiment: Experiment) -> None:
    """Trains, records and validates what a job asks for, and skips what is finished.

    Raises:
      StoppedError: a signal came; the job can be resumed.
      FloatingPointError: every run has diverged.
      DamagedCheckpointError: the newest checkpoint does not hold what was written.
      OSError: results could not be written.
    """
    job, _, runs, saved, folder, _ = experiment
    is_validated = saved is not None or job.options.validate
    if folder.has_summary((VALIDATION if is_validated else TRAINING).summary):
        console.finished_already(folder.path)
        return
    console.announce(job.environment, job.options.preset, runs, job.config, folder.path)
    principals = saved or _train(experiment)
    if is_validated:
        _validate(experiment, principals)
    console.finished(folder.path)


def _train(experiment: Experiment) -> Principals:
    """The principals that have not diverged; read from the folder, if training is finished."""
    job, env, runs, _, folder, _ = experiment
    config, final = job.config, folder.path / "checkpoints" / "final"
    if folder.has_summary(TRAINING.summary):
        return _sound(runs, load_weights(final), folder.read_curves(runs))
    compiled = compile_training(config, env, runs, experiment.lanes())
    result, kept = _run(experiment, TRAINING, compiled, lambda runs: target_weights(runs.state))
    weights = fetch(compiled.layout, kept)
    save_weights(final, weights)
    groups = [recording.group_of(job.label, run) for run in runs]
    playback = _all_follow(experiment, select_run(weights, 0)) if env.can_draw else None
    _finish(folder, TRAINING, groups, result, playback)
    return _sound(runs, weights, result.curves)


def _validate(experiment: Experiment, principals: Principals) -> None:
    """Black-box agents learn under the principals and under baselines."""
    job, env, _, _, folder, _ = experiment
    schemes = len(validation_runs(principals.runs[:1]))
    lanes = experiment.lanes(rows_per_run=schemes)
    compiled = compile_validation(job.config, env, *principals, lanes=lanes)

    def first(runs: Run) -> Run | None:
        return fetch_run(compiled.layout, runs, 0) if env.can_draw else None

    result, shown = _run(experiment, VALIDATION, compiled, first)
    groups = [run.scheme for run in validation_runs(principals.runs)]
    playback = _black_boxes(job.config, env, shown) if shown else None
    _finish(folder, VALIDATION, groups, result, playback)


def _run(
    experiment: Experiment, stage: Stage, compiled: CompiledRuns, keep: Callable[[Run], _Kept]
) -> tuple[StageResult, _Kept]:
    job, _, _, _, folder, _ = experiment
    return run_stage(
        job.config,
        compiled,
        folder,
        stage,
        keep=keep,
        checkpoint_seconds=job.options.checkpoint_seconds,
    )


def _finish(
    folder: RunFolder,
    stage: Stage,
    groups: Sequence[str],
    result: StageResult,
    playback: Playback | None,
) -> None:
    """Prints and records what a stage has found; its checkpoints are no longer needed."""
    console.closing_table(stage.title, groups, result, has_total=not stage.compares_groups)
    recording.record(folder, stage, groups, result, playback)
    discard(folder.path / "checkpoints" / stage.activity)


def _all_follow(experiment: Experiment, weights: Weights) -> Playback:
    """An episode of the first run's game in which all agents follow these weights."""
    job, env, runs, *_ = experiment
    config = job.config
    hyper_params = select_run(hyper_params_of(config.hyper_params, runs[:1]), 0)
    env_params = draw_env_params(env, runs[0].game_id)
    problem = Problem(config, env, env_params, hyper_params)
    return Playback(problem, all_follow(make_learner(problem), weights))


def _black_boxes(config: Config, env: Environment, run: Run) -> Playback:
    """An episode in which black-box agents play what they have learned in one run."""
    agents = black_boxes.make_black_boxes(config, env, run.context)
    return Playback(agents.problem, black_boxes.decide(agents, run.state.agent.target_params))


def _sound(runs: Sequence[RunId], weights: Weights, curves: Mapping[str, np.ndarray]) -> Principals:
    """The principals of those runs that have not diverged."""
    sound = np.flatnonzero(np.isfinite(curves["agent_loss"][:, -1]))
    return Principals([runs[int(number)] for number in sound], select_run(weights, sound))
