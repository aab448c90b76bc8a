"""Entries of the registry: what is known of a game without building it, checked."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, PrincipalAgentEnvironment
from jaxparl.envs.registry.code import explained
from jaxparl.envs.registry.presets import QUICK, Preset, preset_of, quick_preset
from jaxparl.run_options import RunOptions

#: The names of options that every game has.
RESERVED = frozenset(
    {"help", *(field.name for kind in (RunOptions, Config, HyperParams)
               for field in dataclasses.fields(kind))}
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """The settings of a game that has none."""


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
    label: str = "game"
    summary: str = ""


#: Every environment that is registered, by name.
REGISTRY: dict[str, Entry] = {}


def register(
    name: str,
    environment: Callable[..., Environment],
    settings: type | None = None,
    presets: Mapping[str, Preset | Mapping[str, Any]] | None = None,
    *,
    label: str = "",
    summary: str = "",
) -> None:
    """Adds a game, which `make` and the command line of this process then know by its name.

    Nothing of it has to be in jaxparl: a game of another package is declared as an entry point of
    the group `jaxparl.envs`, or named on the command line as `package.module:Class` or
    `./file.py:Class`, and then need not be registered.

    Args:
      name: an identifier.
      environment: its class, derived from `PrincipalAgentEnvironment`; or a function that makes it.
        It is called with the settings, or without arguments where there are none.
      settings: its sizes and rules, a frozen dataclass with defaults, all of which become options;
        by default the attribute `settings_class` of the class.
      presets: by name, `quick` among them, a `Preset` each or options by name, as on the command
        line; by default the attribute `presets` of the class. Without any, `quick` is made.
      label: what one draw of the game is called in a figure; by default `game`.
      summary: one line for `--help`; by default the first one of the docstring.

    Raises:
      ValueError: the name is no identifier, or is taken; there is no preset `quick`; a setting is
        called as an option is; or the environment cannot be created.
      TypeError: something is of another type than described.

    Examples:
      >>> import jaxparl
      >>> from jaxparl.envs.game_tree import GameTree, Settings
      >>> jaxparl.register(
      ...     "small_tree",
      ...     GameTree,
      ...     Settings,
      ...     presets={"quick": {"depth": 4, "iterations": 2_000, "nudge": 0.02}},
      ...     label="tree",
      ...     summary="random binary trees, to try things out",
      ... )
      >>> env, env_params = jaxparl.make("small_tree", depth=4)
      >>> env.num_states
      15
      >>> jaxparl.register("small-tree", GameTree, Settings)
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
    REGISTRY[name] = make_entry(name, environment, settings, presets, label=label, summary=summary)


def make_entry(
    name: str,
    environment: Callable[..., Environment],
    settings: type | None = None,
    presets: Mapping[str, Preset | Mapping[str, Any]] | None = None,
    *,
    label: str = "",
    summary: str = "",
) -> Entry:
    """An entry of what an author gives, see `register`; what is left out is found or made.

    Raises:
      ValueError, TypeError: as `register`.
    """
    if inspect.isclass(environment) and not issubclass(environment, PrincipalAgentEnvironment):
        raise TypeError(
            f"{name} must be a class that derives PrincipalAgentEnvironment, and "
            f"{environment.__name__} does not"
        )
    if not callable(environment):
        raise TypeError(
            f"{name} must be a class that derives PrincipalAgentEnvironment, or a function that "
            f"makes one, not {_described(environment)}"
        )
    if settings is None:
        settings = getattr(environment, "settings_class", None)
    if presets is None:
        presets = getattr(environment, "presets", None)
    if presets is not None and not isinstance(presets, Mapping):
        raise TypeError(f"the presets of {name} must be a mapping, not {_described(presets)}")
    create = _alone(environment) if settings is None else environment
    kind = NoSettings if settings is None else settings
    _check_settings(name, kind)
    make = functools.partial(build, name, create)
    if presets is None:
        with explained(f"{name}: its default settings"):
            default = kind()
        presets = {QUICK: quick_preset(make(default), default)}
    entry = Entry(
        environment=create,
        settings=kind,
        presets={
            preset: preset_of(_title(name, preset), given, kind, make)
            if isinstance(given, Mapping)
            else given
            for preset, given in presets.items()
        },
        label=label or "game",
        summary=summary or _first_line(environment),
    )
    check_entry(name, entry)
    return entry


def _alone(environment: Callable[[], Environment]) -> Callable[[Any], Environment]:
    """A function of settings that there are none of; its environment is made once."""

    @functools.wraps(environment, updated=())
    @functools.cache
    def create(settings: NoSettings) -> Environment:
        del settings
        return environment()

    return create


def _first_line(environment: Callable[..., Environment]) -> str:
    """The first line of a docstring of its own."""
    is_class = inspect.isclass(environment)
    text = vars(environment).get("__doc__") if is_class else inspect.getdoc(environment)
    return next(iter((text or "").strip().splitlines()), "a game without a description").rstrip(".")


def build(name: str, environment: Callable[[Any], Environment], settings: Any) -> Environment:
    """Makes an environment of an author's code.

    Raises:
      ValueError: in one line, with the place in that code, that it fails.
      TypeError: it is no environment, or does not say its sizes.
    """
    with explained(f"{name} cannot be created", inspect.unwrap(environment)):
        env = environment(settings)
    if not isinstance(env, PrincipalAgentEnvironment):
        raise TypeError(
            f"{name} must make a PrincipalAgentEnvironment, and makes {_described(env)}"
        )
    for size in ("num_agents", "num_actions", "num_outcomes"):
        with explained(f"{name} does not say its {size}", inspect.unwrap(environment)):
            getattr(env, size)
    return env


# --- Checks -----------------------------------------------------------------------------------


def check_entry(name: str, entry: Entry) -> None:
    """Checks an entry that is complete.

    Raises:
      ValueError, TypeError: as `register`.
    """
    _check_settings(name, entry.settings)
    if QUICK not in entry.presets:
        raise ValueError(f"{name} needs a preset {QUICK!r}; it has: {', '.join(entry.presets)}")
    for preset_name, preset in entry.presets.items():
        _check_preset(_title(name, preset_name), preset, entry.settings)
    for field in ("label", "summary"):
        value = getattr(entry, field)
        if not isinstance(value, str) or len(value.splitlines()) > 1:
            raise TypeError(f"the {field} of {name} must be one line, not {value!r}")


def _check_settings(name: str, settings: Any) -> None:
    dataclass_params = getattr(settings, "__dataclass_params__", None)
    if not inspect.isclass(settings) or dataclass_params is None or not dataclass_params.frozen:
        raise TypeError(f"the settings of {name} must be a frozen dataclass")
    with explained(f"the settings of {name}: a type is not known", settings):
        typing.get_type_hints(settings)
    for field in dataclasses.fields(typing.cast(Any, settings)):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"the setting {field.name!r} of {name} has no default")
        if field.name in RESERVED:
            raise ValueError(
                f"the setting {field.name!r} of {name} is called as an option of every game is; "
                "give it another name"
            )


def _check_preset(title: str, preset: Preset, settings: type) -> None:
    if not isinstance(preset, Preset):
        raise TypeError(f"{title} must be a Preset, or options by name, not {_described(preset)}")
    for field, kind in (
        ("settings", settings),
        ("config", Config),
        ("summary", str),
        ("games", str),
        ("seeds", str),
        ("validate", bool),
    ):
        value = getattr(preset, field)
        if not isinstance(value, kind):
            where = "" if kind in (str, bool) else f"{kind.__module__}."
            raise TypeError(
                f"the {field} of {title} must be {where}{kind.__qualname__}, "
                f"not {_described(value)}"
            )
    for name, value in dataclasses.asdict(preset.settings).items():
        try:
            json.dumps(value)
            hash(getattr(preset.settings, name))
        except TypeError as error:
            # Settings are compared, recorded in config.json, and read back from there.
            raise TypeError(
                f"the setting {name!r} of {title} must be a number, a text, or a tuple of these, "
                f"not {_described(value)}"
            ) from error


def _title(name: str, preset: str) -> str:
    return f"the preset {preset!r} of {name}"


def _described(value: object) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else type(value).__name__
