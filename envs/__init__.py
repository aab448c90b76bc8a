"""The games that come with jaxparl, by name.

A new game is one file here and one line in `REGISTRY`; the command line, the conformance
tests and the benchmarks find it there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxparl.environment import Game, GameParams
from jaxparl.envs import coin_game, coin_game_settings, game_tree

__all__ = ["REGISTRY", "Entry", "make"]


class Entry(NamedTuple):
    """What is known of a game without building it.

    Attributes:
      environment: settings -> environment.
      settings: its sizes and rules, a frozen dataclass with defaults.
      presets: name -> overrides of the training config, among them the paper's own settings.
      label: what one game is called in a figure.
      summary: one line for the command line's help.
    """

    environment: Callable[[Any], Game]
    settings: type
    presets: Mapping[str, Mapping[str, Any]]
    label: str
    summary: str


REGISTRY: dict[str, Entry] = {
    "game_tree": Entry(
        game_tree.GameTree,
        game_tree.Settings,
        game_tree.PRESETS,
        "tree",
        "random binary trees, one agent, hidden actions (Figure 3 of the paper)",
    ),
    "coin_game": Entry(
        coin_game.CoinGame,
        coin_game_settings.Settings,
        coin_game_settings.PRESETS,
        "game",
        "the Coin Game, two or more agents, observed actions (Figures 2 and 4 of the paper)",
    ),
}


def make(name: str, **settings: Any) -> tuple[Game, GameParams]:
    """Builds a game, `make("game_tree", depth=10) -> (env, default params)`.

    Raises:
      ValueError: for a name or a setting that does not exist, or a setting out of range; the
        message lists what there is.
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown environment {name!r}; there is: {', '.join(REGISTRY)}")
    entry = REGISTRY[name]
    known = [field.name for field in dataclasses.fields(entry.settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"{name} has no setting {unknown[0]!r}; it has: {', '.join(known)}")
    env = entry.environment(entry.settings(**settings))
    return env, env.default_params
