"""Runs a job: trains principals, or reads them, and validates them; records each stage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment
from jaxparl.evaluation.offers import sampling_note
from jaxparl.evaluation.rollouts import all_follow
from jaxparl.experiment import console
from jaxparl.experiment.checkpoint import discard, load_weights, save_weights
from jaxparl.experiment.growth import join_with_smaller
from jaxparl.experiment.job import Experiment, prepare
from jaxparl.experiment.options import Job
from jaxparl.experiment.principals import Principals, sound_principals
from jaxparl.experiment.recording import Playback, record
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.experiment.stage import TRAINING, VALIDATION, Stage, run_stage
from jaxparl.experiment.statistics import group_runs
from jaxparl.experiment.tracking import Tracking
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights, target_weights
from jaxparl.numbers import in_32_bits
from jaxparl.training.comparison import compile_validation, validation_runs
from jaxparl.training.devices import fetch, fetch_run
from jaxparl.training.runs import RunId, env_params_of, hyper_params_of
from jaxparl.training.sweep import CompiledRuns, Run, compile_training, draw_env_params, select_run
from jaxparl.validation.playing import BLACK_BOXES, decide
from jaxparl.validation.schemes import left_out

_Kept = TypeVar("_Kept")


@in_32_bits
def run_job(job: Job, env: Environment) -> Path:
    """Runs a job from Python as the command line does it, but with any components.

    With `RunOptions(resume="auto")` it goes on where an earlier process was stopped.

    Args:
      job: what is asked for. Its components are recorded by name; a run is only resumed with the
        same ones.
      env: the game, of the settings that the job has.

    Returns:
      The folder of the results, see `run_folder`.

    Raises:
      ValueError: what it asks for is impossible, or the folder was made with other settings or
        components. Nothing was computed or written.
      OSError: results cannot be written, or not be read.
      StoppedError: a signal came.
      FloatingPointError: every run has diverged.

    Examples:
      >>> import tempfile
      >>> import optax
      >>> from jaxparl import Components, Config, make
      >>> from jaxparl.experiment.options import Job, RunOptions
      >>> env, _ = make("game_tree", depth=2)
      >>> config = Config(iterations=2, target_interval=1, evaluation_interval=1, hidden_sizes=(8,))
      >>> components = Components(make_optimizer=optax.adamw)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     options = RunOptions(games="0:1", out=Path(folder) / "run")
      ...     job = Job("game_tree", "tree", env.settings, options, config, components=components)
      ...     path = run_job(job, env)  # doctest: +ELLIPSIS
      ...     print(sorted(file.name for file in path.glob("*.json")))
      game_tree...
      ['config.json', 'summary.json']
    """
    with contextlib.closing(prepare(job, env)) as experiment:
        run(experiment)
    return experiment.path


def run(experiment: Experiment) -> None:
    """Trains, records and validates what a job asks for, and skips what is finished.

    Raises:
      StoppedError: a signal came; the job can be resumed.
      FloatingPointError: every run has diverged.
      DamagedCheckpointError: the newest checkpoint does not hold what was written.
      OSError: results could not be written.
    """
    folder = experiment.folder
    is_validated = experiment.saved is not None or experiment.job.options.validate
    is_finished = folder.has_summary((VALIDATION if is_validated else TRAINING).summary)
    if is_finished and not experiment.smaller:
        console.finished_already(folder.path)
        return
    if not is_finished:
        _run_stages(experiment, is_validated=is_validated)
    if experiment.smaller:
        join_with_smaller(experiment.smaller, folder)
    console.finished(experiment.path)


def _run_stages(experiment: Experiment, *, is_validated: bool) -> None:
    job, runs = experiment.job, experiment.runs
    console.announce(job.environment, job.options.preset, runs, job.config, experiment.folder.path)
    _note(sampling_note(experiment.env.num_agents))
    principals = experiment.saved or _train(experiment)
    if is_validated:
        if principals.lost and experiment.saved is None:
            lost = f"{len(principals.lost)} of {len(runs)}"
            console.warn(f"{lost} principals have diverged and are not validated")
        # Of a part of a sweep there may be none left.
        if principals.runs:
            _validate(experiment, principals)


def _note(text: str) -> None:
    """Prints what there is to be said, if anything."""
    if text:
        console.note(text)


def _train(experiment: Experiment) -> Principals:
    """The principals that have not diverged; read from the folder, if training is finished."""
    env, config = experiment.env, experiment.job.config
    runs, folder = experiment.runs, experiment.folder
    final = folder.path / "checkpoints" / "final"
    if folder.has_summary(TRAINING.summary):
        principals = Principals(runs, load_weights(final))
        return sound_principals(principals, diverged(folder.read_curves(runs)))
    components = experiment.job.components
    compiled = compile_training(config, env, runs, experiment.lanes(), components=components)

    def all_weights(runs: Run, _: np.ndarray) -> Weights:
        return target_weights(runs.state)

    result, kept = _run(experiment, TRAINING, compiled, all_weights)
    weights = fetch(compiled.layout, kept)
    save_weights(final, weights)
    principals = sound_principals(Principals(runs, weights), diverged(result.curves))
    is_shown = env.can_draw and bool(principals.runs)
    playback = _all_follow(experiment, principals) if is_shown else None
    _finish(experiment, TRAINING, result, playback)
    return principals


def _validate(experiment: Experiment, principals: Principals) -> None:
    """Black-box agents learn under the principals and under baselines."""
    job, env = experiment.job, experiment.env
    if not job.config.schemes:
        _note(left_out(env))
    schemes = len(validation_runs(job.config, env, principals.runs[:1]))
    lanes = experiment.lanes(rows_per_run=schemes)
    runs, weights, lost = principals
    compiled = compile_validation(job.config, env, runs, weights, lanes, components=job.components)

    def first_sound(runs: Run, has_diverged: np.ndarray) -> Run | None:
        number = int(np.argmin(has_diverged))
        is_shown = env.can_draw and not has_diverged.all()
        return fetch_run(compiled.layout, runs, number) if is_shown else None

    result, shown = _run(experiment, VALIDATION, compiled, first_sound)
    playback = _black_boxes(job, env, shown) if shown else None
    _finish(experiment, VALIDATION, result, playback, lost)


def _run(
    experiment: Experiment,
    stage: Stage,
    compiled: CompiledRuns,
    keep: Callable[[Run, np.ndarray], _Kept],
) -> tuple[StageResult, _Kept]:
    options, folder = experiment.job.options, experiment.folder
    tracking = Tracking(options.log, folder.path, stage.activity, compiled.runs)
    with contextlib.closing(tracking):
        return run_stage(
            experiment.job.config,
            compiled,
            folder,
            stage,
            keep=keep,
            checkpoint_seconds=options.checkpoint_seconds,
            is_part=experiment.is_part,
            tracking=tracking,
        )


def _finish(
    experiment: Experiment,
    stage: Stage,
    result: StageResult,
    playback: Playback | None,
    lost: Sequence[RunId] = (),
) -> None:
    """Prints and records what a stage has found; checkpoints go, unless its state is kept.

    Args:
      experiment: of the stage.
      stage: which stage it is.
      result: what it has found.
      playback: the episode to draw.
      lost: runs that diverged in an earlier stage.
    """
    folder = experiment.folder
    groups = group_runs(result.runs, diverged(result.curves), experiment.job.label, lost)
    console.closing_table(stage.title, groups, result)
    record(folder, stage, groups, result, playback)
    if not stage.keeps_state:
        discard(folder.path / "checkpoints" / stage.activity)


def _all_follow(experiment: Experiment, principals: Principals) -> Playback:
    """An episode of a game in which all agents follow the first of these principals."""
    env, job, first = experiment.env, experiment.job, principals.runs[:1]
    hyper_params = hyper_params_of(job.config.hyper_params, first)
    own, hyper_params = select_run((env_params_of(first), hyper_params), 0)
    env_params = draw_env_params(env, first[0].game_id, own)
    problem = Problem(job.config, env, env_params, hyper_params, job.components)
    # As a program would see them: those of any learner may be indexed by what is traced.
    weights = jax.tree.map(jnp.asarray, select_run(principals.weights, 0))
    return Playback(problem, all_follow(make_learner(problem), weights))


def _black_boxes(job: Job, env: Environment, run: Run) -> Playback:
    """An episode in which black-box agents play what they have learned in one run."""
    learned_by = BLACK_BOXES[job.config.black_boxes]
    agents = learned_by.make_black_boxes(job.config, env, run.context, job.components)
    own_policy = learned_by.policy(agents, run.state.agent.target_params)
    return Playback(agents.problem, decide(agents, own_policy))
