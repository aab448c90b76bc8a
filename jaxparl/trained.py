"""A trained principal as an object, read from the folder of its run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import html
import json
import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.envs import Game, build, find
from jaxparl.evaluation.offers import standing_offer
from jaxparl.exact import untraced
from jaxparl.experiment import console, page, provenance, run_folder
from jaxparl.experiment.checkpoint import save_weights
from jaxparl.experiment.principals import read_principals
from jaxparl.experiment.rerun import door_of, restore
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.experiment.run_folder import RunFolder, atomic
from jaxparl.experiment.statistics import Group, group_runs
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.training.runs import HYPER_PARAMS, RunId, describe, own_env_params
from jaxparl.training.sweep import draw_env_params, select_run
from jaxparl.types import Offer, PyTree

_MOST_NAMED = 12


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedPrincipal:
    """The principals of all runs of a folder, or of one of them, which makes offers.

    Attributes:
      env: the game.
      config: what all runs learned with.
      runs: which runs there are, in the order of the axis R.
      weights: those that are evaluated, `[R, ...]`.
      lost: those of the runs that have diverged, whose weights are worth nothing.
      curves: every metric of every evaluation, `[R, evaluations]`.
      recorded: the content of config.json.
      components: what of their learner was made elsewhere.
    """

    env: Environment
    config: Config
    runs: tuple[RunId, ...]
    weights: Weights
    lost: tuple[RunId, ...]
    curves: Mapping[str, np.ndarray]
    recorded: Mapping[str, Any]
    components: Components = STANDARD

    def __repr__(self) -> str:
        return f"{self._title()}\n{console.closing_text(*self._learned())}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._title())}</p>\n{page.closing_table(*self._learned())}"

    def _title(self) -> str:
        return (
            f"TrainedPrincipal of {self.recorded['environment']}, "
            f"after {self.config.iterations:,} iterations:"
        )

    def _learned(self) -> tuple[list[Group], StageResult]:
        """The runs in groups, and their curves."""
        found = self._stage_result()
        return group_runs(self.runs, diverged(found.curves), self.recorded["label"]), found

    def _stage_result(self) -> StageResult:
        curves = dict(self.curves)
        evaluations = len(next(iter(curves.values()))[0])
        iterations = self.config.evaluation_interval * np.arange(1, evaluations + 1)
        return StageResult(self.runs, iterations, curves, {}, [])

    def run(self, number: int | None = None, **labels: float) -> TrainedPrincipal:
        """The same of one run, which then makes offers.

        Args:
          number: its place in the axis R, that of `metrics.npz`; by default the labels say it.
          labels: some of what tells it apart: `game`, `seed`, and values that were swept or given.

        Raises:
          ValueError: no run is like that, or several are, or it has diverged.
        """
        known = self.runs[0].labels()
        for name in labels:
            if name not in known:
                raise ValueError(f"the runs have no {name!r}; they have: {', '.join(known)}")
        numbers = range(len(self.runs)) if number is None else [number]
        if number is not None and not 0 <= number < len(self.runs):
            raise ValueError(f"there is no run {number}, but {self._listed()}")
        found = [each for each in numbers if labels.items() <= self.runs[each].labels().items()]
        if len(found) != 1:
            asked = " ".join(f"{name} {value}" for name, value in labels.items())
            what = f"{len(found) or 'none'} of the runs has {asked}" if labels else "say which run"
            raise ValueError(f"{what}; there is: {self._listed()}")
        if self.runs[found[0]] in self.lost:
            raise ValueError(f"{describe(self.runs[found[0]])} has diverged")
        return dataclasses.replace(
            self,
            runs=(self.runs[found[0]],),
            weights=select_run(self.weights, np.array(found)),
            lost=(),
            curves={name: values[found] for name, values in self.curves.items()},
        )

    def _listed(self) -> str:
        """`0 (game 0 seed 0), 1 (game 0 seed 1)`."""
        names = [f"{number} ({describe(run)})" for number, run in enumerate(self.runs)]
        more = ["..."] if len(names) > _MOST_NAMED else []
        return ", ".join([*names[:_MOST_NAMED], *more])

    @functools.cached_property
    def env_params(self) -> GameParams:
        """The params of each run's game, `[R, ...]`."""

        def drawn() -> GameParams:
            each = [
                draw_env_params(self.env, run.game_id, own_env_params(run)) for run in self.runs
            ]
            return jax.tree.map(lambda *leaves: jnp.stack([*map(jnp.asarray, leaves)]), *each)

        # They are kept, and the first to ask may be traced.
        return untraced(drawn)

    @functools.cached_property
    def problem(self) -> Problem:
        """What the one run has learned: its game, and the settings that it learned with.

        Raises:
          ValueError: there are several runs.
        """
        if len(self.runs) != 1:
            raise ValueError(f"choose one run by run(number) or by its labels: {self._listed()}")
        (run,) = self.runs
        own = {name: value for name, value in run.own if name in HYPER_PARAMS}
        hyper_params = dataclasses.replace(self.config.hyper_params, **own)
        env_params = untraced(lambda: select_run(self.env_params, 0))
        return Problem(self.config, self.env, env_params, hyper_params, self.components)

    def offer(self, env_state: PyTree) -> Offer:
        """What the principal offers in one state.

        That is `recommendation` `[N]` and `contract.payments` `[N, O]`, among others. Following is
        worthwhile whatever the other agents do, as when principals are validated. It can be used
        under `jax.jit`, and under `jax.vmap` over states.

        Raises:
          ValueError: there are several runs.
        """
        config, env, env_params, hyper_params, components = self.problem
        learned = (env_params, hyper_params, self._weights)
        return _offer(config, env, components, learned, env_state)

    @functools.cached_property
    def _weights(self) -> Weights:
        return untraced(lambda: jax.tree.map(jnp.asarray, select_run(self.weights, 0)))

    def act(self, env_state: PyTree) -> jax.Array:
        """The recommended actions in one state, `[N]`: those of agents that follow."""
        return self.offer(env_state).recommendation

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes a folder that `load` and `jaxparl train --principal` read: what is held here.

        Args:
          folder: new or empty.

        Raises:
          OSError: it is neither, or cannot be written to.
        """
        labels = [run.labels() for run in self.runs]
        content = {**self.recorded, "runs": labels, "of_runs": labels, "shard": None}
        with contextlib.closing(RunFolder(Path(folder))) as written:
            with atomic(written.path / "config.json") as target:
                target.write_text(json.dumps({**content, "validate": False}, indent=2) + "\n")
            written.write_arrays(self._stage_result())
            save_weights(written.path / "checkpoints" / "final", self.weights)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _offer(
    config: Config,
    env: Environment,
    components: Components,
    learned: tuple[GameParams, HyperParams, Weights],
    env_state: PyTree,
) -> Offer:
    env_params, hyper_params, weights = learned
    problem = Problem(config, env, env_params, hyper_params, components)
    return standing_offer(make_learner(problem), weights, env_state)


def load(
    folder: str | os.PathLike[str], *, game: str | None = None, components: Components = STANDARD
) -> TrainedPrincipal:
    """Reads the principals that a finished run has trained, as an object.

    Args:
      folder: of the run; of a sweep that was trained in parts, the merged one, or that of a part.
      game: where its game is now, as on the command line (`path/my_game.py:MyGame`); by default
        where it was.
      components: what of their learner was made elsewhere, as it was handed to their training.

    Raises:
      OSError: there is no run, or it is not finished, or it is damaged.
      ValueError: its game is not found, or is not the one that they were trained in; or all runs
        have diverged.

    Examples:
      A short training, and what one of its two principals offers:

      >>> import contextlib, io, tempfile
      >>> import jaxparl
      >>> from jaxparl import cli
      >>> folder = f"{tempfile.mkdtemp()}/run"
      >>> short = "--iterations 400 --evaluation-interval 100 --replay-capacity 1600"
      >>> command = f"train game_tree --depth 3 --games 0:1 --hidden-sizes 16 16 {short}"
      >>> with contextlib.redirect_stdout(io.StringIO()):
      ...     cli.main([*command.split(), "--out", folder])
      >>> principals = jaxparl.load(folder)
      >>> [run.seed for run in principals.runs]
      [0, 1]
      >>> principal = principals.run(seed=1)
      >>> _, env_state = principal.env.reset(jax.random.key(0), principal.problem.env_params)
      >>> offer = principal.offer(env_state)
      >>> offer.recommendation.shape, offer.contract.payments.shape  # [N], [N, O]
      ((1,), (1, 2))
    """
    path = Path(folder)
    recorded = run_folder.read_config(path)
    provenance.check_format(recorded, path, "load", remedy="load it with that version")
    if recorded.get("principal"):
        raise ValueError(
            f"{path} has no principals of its own: it validates those of {recorded['principal']}"
        )
    made = provenance.differences(components.names(), recorded.get("components"), "components")
    if made:
        raise ValueError(f"the principals in {path} had other components: {'; '.join(made)}")
    env, config = _restored(path, recorded, game)
    principals, has_diverged = read_principals(path, recorded, config, env, components=components)
    runs = tuple(principals.runs)
    return TrainedPrincipal(
        env=env,
        config=config,
        runs=runs,
        weights=principals.weights,
        lost=tuple(run for run, is_lost in zip(runs, has_diverged, strict=True) if is_lost),
        curves=run_folder.read_curves(path, runs),
        recorded=recorded,
        components=components,
    )


def _restored(
    path: Path, recorded: Mapping[str, Any], game: str | None
) -> tuple[Environment, Config]:
    """The game of a run, and what it learned with."""
    try:
        found = _game_of(path, recorded, game)
        settings = restore(found.entry.settings, recorded["settings"])
        config = restore(Config, recorded["config"])
        return build(found.name, found.entry.environment, settings), config
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of its game: {error}"
        ) from error


def _game_of(path: Path, recorded: Mapping[str, Any], game: str | None) -> Game:
    """The game of a run."""
    if game is None:
        door = door_of(recorded)
        try:
            found = find(door)
        except ValueError as error:
            raise ValueError(
                f"{error}. It is the game of {path}; if it is elsewhere now, say so by game=..."
            ) from error
    else:
        found = find(game)
    if found.name != recorded["environment"]:
        raise ValueError(f"{path} is of a run of {recorded['environment']}, not of {found.name}")
    for change in provenance.changed_source(found.source, recorded.get("source")):
        warnings.warn(f"the principals in {path} may be of another game: {change}", stacklevel=3)
    return found
