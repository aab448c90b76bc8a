"""Which runs: games x seeds x settings, and how many processes share them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxparl.config import Rates


class RunId(NamedTuple):
    """Which run.

    Attributes:
      game: the number of its game.
      seed: runs of the same game and seed have the same luck, whatever their rates.
      rates: those it has of its own, by name; the others are the config's.
    """

    game: int
    seed: int
    rates: tuple[tuple[str, float], ...] = ()

    def labels(self) -> dict[str, Any]:
        """What tells it apart, by name."""
        return {"game": self.game, "seed": self.seed, **dict(self.rates)}


class Entrant(NamedTuple):
    """Which run of validation: the scheme, and the run whose principal it is held against."""

    scheme: str
    run: RunId

    def labels(self) -> dict[str, Any]:
        """What tells it apart, by name."""
        return {"scheme": self.scheme, **self.run.labels()}


AnyRun = RunId | Entrant


def run_of(labels: Mapping[str, Any]) -> RunId:
    """The run that has these labels."""
    rates = {name: value for name, value in labels.items() if name not in ("game", "seed")}
    return RunId(labels["game"], labels["seed"], tuple(rates.items()))


def grid(
    games: Sequence[int],
    seeds: Sequence[int],
    settings: Mapping[str, Sequence[float]] | None = None,
) -> list[RunId]:
    """Every game with every combination of settings and every seed, seeds side by side."""
    names = tuple(settings or {})
    combinations = itertools.product(*(settings or {}).values())
    return [
        RunId(game, seed, tuple(zip(names, values, strict=True)))
        for game, values, seed in itertools.product(games, list(combinations), seeds)
    ]


def shard(runs: Sequence[RunId], index: int, count: int) -> list[RunId]:
    """Part `index` of `count`: neighbours, and of all parts nearly equally many."""
    chosen = np.array_split(np.arange(len(runs)), count)[index]
    return [runs[number] for number in chosen]


def rates_of(rates: Rates, runs: Sequence[RunId]) -> Rates:
    """The rates of all runs, `[R]` each, in float32.

    Raises:
      TypeError: a run has a rate that there is not.
      ValueError: one of them is out of its range.
    """
    each = [dataclasses.replace(rates, **dict(run.rates)) for run in runs]
    columns = {
        field.name: np.array([getattr(one, field.name) for one in each], np.float32)
        for field in dataclasses.fields(Rates)
    }
    return Rates(**columns)  # type: ignore[arg-type]


def describe(run: AnyRun) -> str:
    """`game 0 seed 3 nudge 0.02`."""
    return " ".join(f"{name} {value}" for name, value in run.labels().items())
