"""One experiment: trains what a command line asks for, or reads it, records, draws, validates."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl import play, records, report, validation
from jaxparl.checkpoint import load_weights, save_weights
from jaxparl.comparison import compile_comparison, entrants
from jaxparl.config import Config
from jaxparl.environment import Game, GameParams
from jaxparl.lockstep import make_learner
from jaxparl.records import RunFolder
from jaxparl.run_state import Weights, target_weights
from jaxparl.sweep import Progress, RunId, Sweep, compile_sweep, train

# Of a GIF, and the luck of its episode.
_MOST_FRAMES = 60
_EPISODE_SEED = 0


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which runs, and where their results go.

    Attributes:
      preset: a named set of options for this game; options given beside it win.
      games: numbers of the games to draw, `A:B` without B; the same number is the same game.
      seeds: seeds of each game, `A:B` without B; every game is trained with every seed.
      validate: once trained, freeze the principals, and let black-box agents learn from scratch
        under their contracts and under baselines.
      principal: folder of an earlier run of the same game; train nothing, validate its principals.
      out: folder for the results, new or empty; by default a new one under runs/.
    """

    preset: str = "quick"
    games: str = "0:2"
    seeds: str = "0:2"
    validate: bool = False
    principal: Path | None = None
    out: Path | None = None


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that one command line says.

    Attributes:
      environment: the name of the game.
      label: what one draw of it is called in a figure.
      settings: its sizes and rules.
      selection: which runs, and where their results go.
      config: how they learn.
    """

    environment: str
    label: str
    settings: Any
    selection: Selection
    config: Config


class Principals(NamedTuple):
    """Trained principals: which runs they are of, and all weights, `[R, ...]`."""

    runs: list[RunId]
    weights: Weights


def load_principals(job: Job, validator: validation.Validator) -> Principals:
    """Reads the principals that a job is to validate.

    Raises:
      OSError: there is no run in that folder, or it is not finished.
      ValueError: they are of another game, or have other networks.
    """
    path = job.selection.principal
    assert path is not None
    recorded = records.read_config(path)
    # As JSON has it: tuples are lists.
    settings = json.loads(json.dumps(dataclasses.asdict(job.settings)))
    for name, here, there in (
        ("environment", job.environment, recorded["environment"]),
        *((name, here, recorded["settings"].get(name)) for name, here in settings.items()),
    ):
        if here != there:
            raise ValueError(
                f"the principals in {path} are of another game: {name} was {there}, not {here}"
            )
    weights = load_weights(path / "checkpoints" / "final")
    validation.check_principal(validator, jax.tree.map(lambda leaf: leaf[0], weights))
    return Principals([RunId(**run) for run in recorded["runs"]], weights)


def run(
    job: Job, env: Game, runs: Sequence[RunId], saved: Principals | None, folder: RunFolder
) -> None:
    """Trains, records and reports one job, and validates it, if asked to."""
    folder.write_config(
        {
            "environment": job.environment,
            "settings": dataclasses.asdict(job.settings),
            "config": dataclasses.asdict(job.config),
            "principal": str(job.selection.principal) if saved else None,
        },
        runs,
    )
    report.announce(job.environment, job.selection.preset, runs, job.config, folder.path)
    weights = saved.weights if saved else _train(job, env, runs, folder)
    if saved or job.selection.validate:
        _validate(job.config, env, runs, folder, weights)
    report.where(folder.path)


def _train(job: Job, env: Game, runs: Sequence[RunId], folder: RunFolder) -> Weights:
    config = job.config
    trained = _go(config, compile_sweep(config, env, runs), folder, "training", "metrics")
    folder.write_summary(trained.iterations, trained.curves, trained.timing)
    weights = jax.tree.map(lambda leaf: leaf[: len(runs)], target_weights(trained.state.run))
    # As NumPy arrays, which belong to no device.
    weights = jax.device_get(weights)
    save_weights(folder.path / "checkpoints" / "final", weights)
    games = [f"{job.label} {run.game}" for run in runs]
    report.closing_table(
        "Learned beside exact: the last evaluation", games, trained.curves, trained.timing
    )
    _draw(folder.path / "figure.png", games, trained)
    if env.can_draw:
        first = jax.tree.map(lambda leaf: leaf[0], trained.state)
        learner, params = make_learner(config, env), first.game_params
        decide = play.all_follow(learner, params, first.rates, target_weights(first.run))
        _draw_episode(folder.path / "episode.gif", env, params, decide)
    return weights


class _Outcome(NamedTuple):
    """What a finished sweep leaves: curves `[R, evaluations]`, timing, the last state."""

    iterations: np.ndarray
    curves: dict[str, np.ndarray]
    timing: dict[str, float]
    state: Any


def _go(config: Config, sweep: Sweep, folder: RunFolder, what: str, name: str) -> _Outcome:
    evaluations = config.iterations // config.evaluation_interval
    iterations = config.evaluation_interval * np.arange(1, evaluations + 1)
    history: list[Progress] = []
    with report.ProgressLine(config, len(sweep.runs), sweep.compile_seconds, what) as line:
        for progress in train(config, sweep):
            # Only the last state is kept: the chunk after it has consumed the others.
            history.append(progress)
            done = int(iterations[progress.chunk - 1])
            folder.append_metrics(sweep.runs, done, progress.metrics, name)
            line.update(progress)
            _check_finite(sweep.runs, done, progress.metrics)
    # [R, evaluations] of each metric
    curves = {
        field: np.stack([getattr(progress.metrics, field) for progress in history], axis=1)
        for field in vars(history[0].metrics)
    }
    folder.write_arrays(sweep.runs, iterations, curves, name)
    seconds = history[-1].seconds
    timing = {
        "compile_seconds": sweep.compile_seconds,
        "train_seconds": seconds,
        "iterations_per_second": config.iterations * len(sweep.runs) / seconds,
    }
    return _Outcome(iterations, curves, timing, history[-1].state)


def _check_finite(runs: Sequence[tuple[Any, ...]], iteration: int, metrics: Any) -> None:
    """Stops a sweep that has diverged; what it found so far is on the disk."""
    names = records.run_fields(runs)
    losses = {name: values for name, values in vars(metrics).items() if name.endswith("loss")}
    for name, values in losses.items():
        for run, value in zip(runs, values, strict=True):
            if not np.isfinite(value):
                which = " ".join(f"{field} {part}" for field, part in zip(names, run, strict=True))
                raise FloatingPointError(
                    f"{which} has diverged: {name} is {value} at iteration {iteration:,}. Try a "
                    "smaller --learning-rate, or --loss huber and --max-gradient-norm 10"
                )


def _validate(
    config: Config, env: Game, runs: Sequence[RunId], folder: RunFolder, weights: Weights
) -> None:
    sweep = compile_comparison(config, env, runs, weights)
    validated = _go(config, sweep, folder, "validating", "validation")
    schemes = [entrant.scheme for entrant in entrants(runs)]
    folder.write_comparison(schemes, validated.curves, validated.timing)
    report.closing_table(
        "Black-box agents under each scheme: the last evaluation",
        schemes,
        validated.curves,
        validated.timing,
        has_total=False,
    )
    _draw(folder.path / "validation.png", schemes, validated)
    if env.can_draw:
        first = jax.tree.map(lambda leaf: leaf[0], validated.state)
        params = first.run.agent.target_params
        decide = validation.decide(validation.make_validator(config, env), first.terms, params)
        _draw_episode(folder.path / "validation.gif", env, first.terms.game_params, decide)


def _draw(path: Path, groups: Sequence[str], outcome: _Outcome) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print("no figure: matplotlib is missing; pip install 'jaxparl[plot]'")
        return
    from jaxparl.plotting import learning_curves

    learning_curves(path, groups, outcome.iterations, outcome.curves)


def _draw_episode(
    path: Path, env: Game, game_params: GameParams, decide: Callable[..., Any]
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        return  # as `_draw` has said
    from jaxparl import plotting

    length = min(int(game_params.max_steps_in_episode), _MOST_FRAMES)
    record = jax.jit(lambda key: play.record_episode(env, game_params, decide, key, length))
    plotting.episode(path, env, record(jax.random.key(_EPISODE_SEED)))
