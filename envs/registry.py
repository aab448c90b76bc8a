"""The registry of environments: what is known of each without building it.

The command line, the conformance tests and the benchmarks iterate `REGISTRY`. The environments
that come with jaxparl are registered in `envs/__init__.py`; others are added by `register`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxparl.config import Config
from jaxparl.environment import Environment, GameParams

#: The preset that every environment has: the one that the command line takes if none is named.
QUICK = "quick"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of options for the command line.

    Attributes:
      summary: one line for `--help`: what it is for.
      settings: sizes and rules, an instance of the environment's settings.
      config: how principal and agents learn.
      games: which games are drawn, as `--games`: `A:B` without B.
      seeds: the seeds of each game, likewise.
      validate: whether trained principals are validated by black-box agents.

    Examples:
      >>> from jaxparl.envs.game_tree import Settings
      >>> preset = Preset(
      ...     summary="one deep tree",
      ...     settings=Settings(depth=12),
      ...     config=Config(iterations=40_000),
      ...     games="0:1",
      ... )
      >>> preset.games, preset.seeds
      ('0:1', '0:2')
    """

    summary: str
    settings: Any
    config: Config
    games: str = "0:2"
    seeds: str = "0:2"
    validate: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What the registry knows of an environment.

    Attributes:
      environment: settings -> environment.
      settings: its sizes and rules, a frozen dataclass with defaults.
      presets: by name, among them `quick`.
      label: what one game is called in a figure.
      summary: one line for `--help`.
    """

    environment: Callable[[Any], Environment]
    settings: type
    presets: Mapping[str, Preset]
    label: str
    summary: str


#: Every environment, by name.
REGISTRY: dict[str, Entry] = {}


def register(name: str, entry: Entry) -> None:
    """Adds an environment, which `make` and the command line then know by its name.

    Raises:
      ValueError: the name is no identifier, or is registered already; or there is no preset
        `quick`.
      TypeError: the settings are no frozen dataclass, or a preset is of another environment's
        settings, or of something else than a `Config`.

    Examples:
      >>> from jaxparl.envs import Entry, Preset, game_tree, make, register
      >>> quick = Preset(
      ...     summary="two small trees",
      ...     settings=game_tree.Settings(depth=4),
      ...     config=Config(iterations=2_000),
      ... )
      >>> entry = Entry(
      ...     environment=game_tree.GameTree,
      ...     settings=game_tree.Settings,
      ...     presets={"quick": quick},
      ...     label="tree",
      ...     summary="random binary trees, to try things out",
      ... )
      >>> register("small_tree", entry)
      >>> env, params = make("small_tree", depth=4)
      >>> env.num_states
      15
      >>> register("small-tree", entry)
      Traceback (most recent call last):
      ...
      ValueError: the name of an environment must be an identifier such as my_game, not 'small-tree'
    """
    if not name.isidentifier():
        raise ValueError(
            f"the name of an environment must be an identifier such as my_game, not {name!r}"
        )
    if name in REGISTRY:
        raise ValueError(f"an environment {name!r} is registered already")
    dataclass_params = getattr(entry.settings, "__dataclass_params__", None)
    if dataclass_params is None or not dataclass_params.frozen:
        raise TypeError(f"the settings of {name} must be a frozen dataclass")
    if QUICK not in entry.presets:
        raise ValueError(f"{name} needs a preset {QUICK!r}; it has: {', '.join(entry.presets)}")
    for preset_name, preset in entry.presets.items():
        _check_preset(f"the preset {preset_name!r} of {name}", preset, entry.settings)
    REGISTRY[name] = entry


def _check_preset(title: str, preset: Preset, settings: type) -> None:
    if not isinstance(preset, Preset):
        raise TypeError(f"{title} must be a Preset, not {type(preset).__name__}")
    for field, kind in (("settings", settings), ("config", Config)):
        value = getattr(preset, field)
        if not isinstance(value, kind):
            raise TypeError(
                f"the {field} of {title} must be {kind.__module__}.{kind.__qualname__}, "
                f"not {type(value).__name__}"
            )


def make(name: str, **settings: Any) -> tuple[Environment, GameParams]:
    """Builds an environment by its name; returns it with its default params.

    Settings that are not given have their defaults.

    Raises:
      ValueError: the name or a setting is unknown, or a setting is out of range. The message
        lists those that are known.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, params = make("game_tree", depth=3)
      >>> env.num_states, env.horizon
      (7, 3)
      >>> make("game_tree", height=3)
      Traceback (most recent call last):
      ...
      ValueError: game_tree has no setting 'height'; it has: depth, outcome_probs
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown environment {name!r}; known are: {', '.join(REGISTRY)}")
    entry = REGISTRY[name]
    known = [field.name for field in dataclasses.fields(entry.settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"{name} has no setting {unknown[0]!r}; it has: {', '.join(known)}")
    env = entry.environment(entry.settings(**settings))
    return env, env.default_params
