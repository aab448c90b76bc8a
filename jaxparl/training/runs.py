"""Which runs there are: games x settings x seeds, and the parts that several processes share."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxparl.config import HyperParams

#: The names of all hyper-parameters.
HYPER_PARAMS = tuple(field.name for field in dataclasses.fields(HyperParams))


class RunId(NamedTuple):
    """Which run of a sweep.

    Attributes:
      game_id: the number of its game.
      seed: runs of the same game and seed use the same random numbers, whatever their settings.
      own: hyper-parameters that it has of its own, and numbers among the params of its game, as
        pairs of name and value; the others are the config's, and the game's.
    """

    game_id: int
    seed: int
    own: tuple[tuple[str, float], ...] = ()

    def labels(self) -> dict[str, Any]:
        """What tells it apart, by name, as it stands in result files."""
        return {"game": self.game_id, "seed": self.seed, **dict(self.own)}


class ValidationRun(NamedTuple):
    """Which run of validation: the scheme, and the run whose principal it is compared with."""

    scheme: str
    run: RunId

    def labels(self) -> dict[str, Any]:
        """What tells it apart, by name, as it stands in result files."""
        return {"scheme": self.scheme, **self.run.labels()}


AnyRun = RunId | ValidationRun


def run_of(labels: Mapping[str, Any]) -> RunId:
    """The run that has these labels.

    Examples:
      >>> run_of({"game": 0, "seed": 3, "nudge": 0.02})
      RunId(game_id=0, seed=3, own=(('nudge', 0.02),))
    """
    own = {name: value for name, value in labels.items() if name not in ("game", "seed")}
    return RunId(labels["game"], labels["seed"], tuple(own.items()))


def grid(
    game_ids: Sequence[int],
    seeds: Sequence[int],
    own: Mapping[str, Sequence[float]] | None = None,
) -> list[RunId]:
    """Every game with every combination of values of its own and every seed, seeds side by side.

    Examples:
      >>> for run in grid([0], [0, 1], {"nudge": [0.0, 0.1]}):
      ...     print(describe(run))
      game 0 seed 0 nudge 0.0
      game 0 seed 1 nudge 0.0
      game 0 seed 0 nudge 0.1
      game 0 seed 1 nudge 0.1
    """
    names = tuple(own or {})
    combinations = list(itertools.product(*(own or {}).values()))
    return [
        RunId(game_id, seed, tuple(zip(names, values, strict=True)))
        for game_id, values, seed in itertools.product(game_ids, combinations, seeds)
    ]


def shard(runs: Sequence[RunId], index: int, count: int) -> list[RunId]:
    """Part `index` of `count`: neighbours, and nearly as many runs in each part."""
    chosen = np.array_split(np.arange(len(runs)), count)[index]
    return [runs[number] for number in chosen]


def hyper_params_of(hyper_params: HyperParams, runs: Sequence[RunId]) -> HyperParams:
    """The hyper-parameters of all runs, `[R]` each, in float32.

    Raises:
      ValueError: one of them is out of its range.
    """
    each = [
        dataclasses.replace(
            hyper_params, **{name: value for name, value in run.own if name in HYPER_PARAMS}
        )
        for run in runs
    ]
    columns = {
        name: np.array([getattr(one, name) for one in each], np.float32) for name in HYPER_PARAMS
    }
    return HyperParams(**columns)  # type: ignore[arg-type]


def env_params_of(runs: Sequence[RunId]) -> dict[str, np.ndarray]:
    """The params of their games that the runs have of their own, `[R]` each, in float32.

    Args:
      runs: all of which have values of their own for the same names.

    Examples:
      >>> env_params_of(grid([0], [0], {"nudge": [0.0], "discount": [0.75, 0.5]}))
      {'discount': array([0.75, 0.5 ], dtype=float32)}
    """
    each = [own_env_params(run) for run in runs]
    return {name: np.array([own[name] for own in each]) for name in each[0]}


def own_env_params(run: RunId) -> dict[str, np.float32]:
    """The params of its game that one run has of its own, in float32."""
    return {name: np.float32(value) for name, value in run.own if name not in HYPER_PARAMS}


def describe(run: AnyRun) -> str:
    """`game 0 seed 3 nudge 0.02`."""
    return " ".join(f"{name} {value}" for name, value in run.labels().items())
