"""One experiment: trains what a command line asks for, or reads it, records, draws, validates."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl import phase, play, records, report, sweep, validation
from jaxparl.checkpoint import discard, load_weights, save_weights
from jaxparl.comparison import compile_comparison, entrants
from jaxparl.environment import Game, GameParams
from jaxparl.layout import fetch, fetch_run, spread
from jaxparl.lockstep import make_learner
from jaxparl.processes import by_first
from jaxparl.records import RunFolder, shard_name
from jaxparl.run_state import Weights, target_weights
from jaxparl.runs import RunId, rates_of, run_of
from jaxparl.selection import Job, all_runs, own_runs, part
from jaxparl.sweep import compile_sweep

# Of a GIF, and the luck of its episode.
_MOST_FRAMES = 60
_EPISODE_SEED = 0


class Principals(NamedTuple):
    """Trained principals: which runs they are of, and all weights, `[R, ...]`."""

    runs: list[RunId]
    weights: Weights


class Experiment(NamedTuple):
    """A job that has been found to make sense, and a place for its results.

    Attributes:
      job: what was asked for.
      env: the game.
      runs: those of this process.
      saved: the principals to validate, where nothing is to be trained.
      folder: where results go.
    """

    job: Job
    env: Game
    runs: list[RunId]
    saved: Principals | None
    folder: RunFolder


def prepare(job: Job, env: Game) -> Experiment:
    """Checks a job before anything is computed, and makes or opens its folder.

    Raises:
      ValueError: it makes no sense, or the folder to resume was made by other settings.
      OSError: the folder is not to be had, or an earlier run is missing.
    """
    chosen = job.selection
    saved = None
    if chosen.validate or chosen.principal:
        try:
            validator = validation.make_validator(job.config, env)
        except ValueError as error:
            raise ValueError(f"--validate and --principal: {error}") from error
        if chosen.principal:
            saved = _load_principals(job, validator)
    asked = (chosen.games, chosen.seeds, chosen.sweep)
    every = saved.runs if saved else all_runs(*asked, job.config.rates)
    mine = part(chosen)
    runs = own_runs(every, mine)
    recorded = {
        "environment": job.environment,
        "label": job.label,
        "settings": dataclasses.asdict(job.settings),
        "config": dataclasses.asdict(job.config),
        "of_runs": [run.labels() for run in every],
        "principal": str(chosen.principal) if saved else None,
        "shard": list(mine) if mine else None,
        "lanes": spread(len(runs), chosen.lanes).lanes,
        "validate": chosen.validate,
    }
    if saved:
        weights = sweep.select_run(saved.weights, np.array([every.index(run) for run in runs]))
        saved = Principals(runs, weights)
    base = chosen.out or _under_runs(job, recorded, runs)
    folder = RunFolder(base / shard_name(*mine) if mine else base, chosen.resume == "auto")
    try:
        changes = folder.write_config(recorded, runs)
    except (ValueError, OSError):
        folder.close()
        raise
    for change in changes or ():
        report.warn(f"versions have changed since this run began, bits may differ: {change}")
    return Experiment(job, env, runs, saved, folder)


def run(experiment: Experiment) -> None:
    """Trains, records and reports one job, and validates it, if asked to; skips what is done.

    Raises:
      StoppedError: a signal came; what is missing can be gone on with.
      FloatingPointError: every run has diverged.
      DamagedCheckpointError: what it would go on from is not what was written.
      OSError: results could not be written.
    """
    job, _, runs, saved, folder = experiment
    if folder.has("validation" if saved or job.selection.validate else "summary"):
        report.already(folder.path)
        return
    report.announce(job.environment, job.selection.preset, runs, job.config, folder.path)
    if saved is None:
        runs, weights = _train(experiment)
    else:
        weights = saved.weights
    if saved or job.selection.validate:
        _validate(experiment, runs, weights)
    report.where(folder.path)


def _train(experiment: Experiment) -> Principals:
    """The runs that have not diverged, and their weights; from the folder, if they are there."""
    job, env, runs, _, folder = experiment
    config, final = job.config, folder.path / "checkpoints" / "final"
    if folder.has("summary"):
        _, curves = folder.read_arrays(runs)
        return _survivors(runs, load_weights(final), curves)
    compiled = compile_sweep(config, env, runs, job.selection.lanes)
    seconds = job.selection.checkpoint_seconds
    trained = phase.go(config, compiled, folder, phase.TRAINING, seconds)
    # Nothing else is kept of the state: what is fetched and written takes memory of its own.
    weights, trained = target_weights(trained.state.run), trained._replace(state=None)
    weights = fetch(compiled.layout, weights)
    save_weights(final, weights)
    folder.write_arrays(runs, trained.iterations, trained.curves)
    games = [group_of(job.label, run) for run in runs]
    report.closing_table(
        "Learned beside exact: the last evaluation", games, trained.curves, trained.timing
    )
    draw_curves(folder.path / "figure.png", games, trained.iterations, trained.curves)
    if env.can_draw:
        one = sweep.select_run(weights, 0)
        params, rates = sweep.draw_game(env, runs[0].game), rates_of(config.rates, runs[:1])
        learner = make_learner(config, env)
        decide = play.all_follow(learner, params, sweep.select_run(rates, 0), one)
        _draw_episode(folder.path / "episode.gif", env, params, decide)
    folder.write_summary(trained.iterations, trained.curves, trained.timing, trained.fingerprints)
    discard(folder.path / "checkpoints" / phase.TRAINING.doing)
    return _survivors(runs, weights, trained.curves)


def _validate(experiment: Experiment, runs: Sequence[RunId], weights: Weights) -> None:
    job, env, _, _, folder = experiment
    config = job.config
    compiled = compile_comparison(config, env, runs, weights, job.selection.lanes)
    seconds = job.selection.checkpoint_seconds
    validated = phase.go(config, compiled, folder, phase.VALIDATION, seconds)
    folder.write_arrays(compiled.runs, validated.iterations, validated.curves, "validation")
    groups = [entrant.scheme for entrant in entrants(runs)]
    report.closing_table(
        "Black-box agents under each scheme: the last evaluation",
        groups,
        validated.curves,
        validated.timing,
        has_total=False,
    )
    draw_curves(folder.path / "validation.png", groups, validated.iterations, validated.curves)
    if env.can_draw:
        first = fetch_run(compiled.layout, validated.state, 0)
        params = first.run.agent.target_params
        decide = validation.decide(validation.make_validator(config, env), first.terms, params)
        _draw_episode(folder.path / "validation.gif", env, first.terms.game_params, decide)
    folder.write_comparison(groups, validated.curves, validated.timing, validated.fingerprints)
    discard(folder.path / "checkpoints" / phase.VALIDATION.doing)


def _survivors(
    runs: Sequence[RunId], weights: Weights, curves: Mapping[str, np.ndarray]
) -> Principals:
    """Those runs that have not diverged."""
    sound = np.flatnonzero(np.isfinite(curves["agent_loss"][:, -1]))
    return Principals([runs[int(number)] for number in sound], sweep.select_run(weights, sound))


def group_of(label: str, run: RunId) -> str:
    """What a run belongs to in figures: `tree 0, nudge 0.02`, whatever its seed."""
    return ", ".join([f"{label} {run.game}", *(f"{name} {value}" for name, value in run.rates)])


def _load_principals(job: Job, validator: validation.Validator) -> Principals:
    """Reads the principals that a job is to validate.

    Raises:
      OSError: there is no run in that folder, or it is not finished.
      ValueError: they are of another game, or have other networks.
    """
    path = job.selection.principal
    assert path is not None
    recorded = records.read_config(path)
    asked = {"environment": job.environment, "settings": dataclasses.asdict(job.settings)}
    # As JSON has it: tuples are lists.
    asked = json.loads(json.dumps(asked))
    differences = records.different(asked, {name: recorded.get(name) for name in asked})
    if differences:
        raise ValueError(f"the principals in {path} are of another game: {'; '.join(differences)}")
    weights = load_weights(path / "checkpoints" / "final")
    validation.check_principal(validator, sweep.select_run(weights, 0))
    return Principals([run_of(labels) for labels in recorded["runs"]], weights)


def _under_runs(job: Job, recorded: Mapping[str, Any], runs: Sequence[RunId]) -> Path:
    """A new folder under runs/; to resume, one there that the same settings have made."""
    name = f"{job.environment}-{job.selection.preset}"
    if job.selection.shard:
        raise ValueError("--shard needs --out: that is where the parts come together")
    if job.selection.distributed:
        raise ValueError("--distributed needs --out: a folder that every process sees")
    taken = sorted(Path("runs").glob(f"{name}-*"))
    if job.selection.resume == "auto":
        for path in taken:
            if (path / "config.json").exists() and not records.changed(path, recorded, runs):
                return path
    numbers = {path.name for path in taken}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in numbers)
    return Path("runs") / f"{name}-{number}"


@by_first
def draw_curves(
    path: Path, groups: Sequence[str], iterations: np.ndarray, curves: Mapping[str, np.ndarray]
) -> None:
    """Draws learning curves `[R, evaluations]`, if matplotlib is there."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no figure: matplotlib is missing; pip install 'jaxparl[plot]'")
        return
    from jaxparl.plotting import learning_curves

    learning_curves(path, groups, iterations, curves)


@by_first
def _draw_episode(
    path: Path, env: Game, game_params: GameParams, decide: Callable[..., Any]
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        return  # as `_draw` has said
    from jaxparl import plotting

    length = min(int(game_params.max_steps_in_episode), _MOST_FRAMES)
    record = jax.jit(lambda key: play.record_episode(env, game_params, decide, key, length))
    plotting.episode(path, env, record(jax.random.key(_EPISODE_SEED)))
