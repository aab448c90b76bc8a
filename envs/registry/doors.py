"""The doors by which games get in: a name, an installed package, a module, or a file."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import operator
import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

from jaxparl.environment import Environment, GameParams, PrincipalAgentEnvironment
from jaxparl.envs.registry.code import digest_of, explained, file_of, import_file, import_module
from jaxparl.envs.registry.entries import REGISTRY, Entry, build, check_entry, make_entry

#: The group of entry points by which an installed package declares its games: a name, and
#: `package.module:Class`.
GROUP = "jaxparl.envs"
# The folder of the games that come with jaxparl.
_OURS = Path(__file__).absolute().parents[1]
_SUMMARY = "the game {}"
_HOW_ELSE = "a game of your own is named by its class, package.module:Class or ./file.py:Class"


class Game(NamedTuple):
    """A game that has been found.

    Attributes:
      name: what it is called: a name of the registry, `package.module:Class`, or `file.py:Class`,
        wherever the file is.
      entry: what the registry knows of it.
      source: where its code is, if it does not come with jaxparl: the `door` by which it is found
        again, from any directory; its `file`; and the `sha256` of that.
    """

    name: str
    entry: Entry
    source: dict[str, str] | None


def find(text: str) -> Game:
    """Finds a game by its name, or by its class in a module or a file, which are then imported.

    The same text means the same class, however often it is asked for in a process.

    Args:
      text: a name that is registered, or that an installed package declares; or
        `package.module:Class`, where the current directory counts; or `path/file.py:Class`. In
        place of a class there may be an environment, which has no settings then, or an `Entry`.

    Raises:
      ValueError: in one line, what is wrong with it.

    Examples:
      >>> find("game_tree").source is None
      True
      >>> find("my_game.py")
      Traceback (most recent call last):
      ...
      ValueError: my_game.py does not say which class; write my_game.py:CLASS
    """
    place, colon, path = text.rpartition(":")
    if not colon:
        return _by_name(text)
    if not place or not path:
        raise ValueError(f"{text!r} is no game: {_HOW_ELSE}")
    return _by_class(os.path.abspath(place) if place.endswith(".py") else place, path)


def make(name: str, **settings: Any) -> tuple[Environment, GameParams]:
    """Builds an environment by its name, see `find`; returns it with its default params.

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
    game = find(name)
    known = [field.name for field in dataclasses.fields(game.entry.settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        has = f"it has: {', '.join(known)}" if known else "it has none"
        raise ValueError(f"{game.name} has no setting {unknown[0]!r}; {has}")
    env = build(game.name, game.entry.environment, game.entry.settings(**settings))
    return env, env.default_params


def names() -> list[str]:
    """The names of all games, those that installed packages declare last; none of these is loaded.

    Examples:
      >>> names()[:2]
      ['game_tree', 'coin_game']
    """
    return [*REGISTRY, *(name for name in sorted(_declared()) if name not in REGISTRY)]


def refused(name: str | None = None) -> list[str]:
    """Which games that installed packages declare cannot be had by their names, a line each.

    Args:
      name: only those of this name.
    """
    return [
        f"{_package(declared)} declares a game {taken!r}, and there is another one of that name: "
        f"it is left out, and found as {declared.value}"
        for taken, found in sorted(_declared().items())
        if name in (None, taken) and (taken in REGISTRY or len(found) > 1)
        for declared in found
    ]


def _declared() -> dict[str, list[EntryPoint]]:
    """What installed packages declare, by name."""
    found = dict[str, list[EntryPoint]]()
    for declared in entry_points(group=GROUP):
        found.setdefault(declared.name, []).append(declared)
    return found


def _package(declared: EntryPoint) -> str:
    return declared.dist.name if declared.dist else "a package"


def _by_name(name: str) -> Game:
    if name in REGISTRY:
        entry = REGISTRY[name]
        return Game(name, entry, _source(name, file_of(inspect.unwrap(entry.environment))))
    declared = _declared().get(name, [])
    if len(declared) == 1:
        return _installed(name, declared[0])
    if declared:
        raise ValueError("; ".join(refused(name)))
    if name.endswith(".py"):
        raise ValueError(f"{name} does not say which class; write {name}:CLASS")
    raise ValueError(f"unknown environment {name!r}; there is: {', '.join(names())}; {_HOW_ELSE}")


@functools.cache
def _installed(name: str, declared: EntryPoint) -> Game:
    title = f"the game {name} of {_package(declared)}"
    with explained(f"{title} cannot be loaded"):
        module = importlib.import_module(declared.module)
    try:
        entry = _entry(name, _attribute(module, declared.attr))
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from error
    return Game(name, entry, _source(name, module.__file__))


@functools.cache
def _by_class(place: str, path: str) -> Game:
    """The game of a class in a module, or in a file whose path is absolute."""
    is_file = place.endswith(".py")
    module = import_file(Path(place)) if is_file else import_module(place)
    name = f"{Path(place).name if is_file else place}:{path}"
    return Game(
        name, _entry(name, _attribute(module, path)), _source(f"{place}:{path}", module.__file__)
    )


def _attribute(module: ModuleType, path: str) -> Any:
    """What a module calls by a dotted name.

    Raises:
      ValueError: nothing; the message has the environments that the module defines.
    """
    try:
        return operator.attrgetter(path)(module)
    except AttributeError:
        own = [
            name
            for name, value in vars(module).items()
            if _is_environment(value) and value.__module__ == module.__name__
        ]
        has = f"it defines: {', '.join(own)}" if own else "it defines no environment"
        raise ValueError(f"{module.__file__} has no {path}; {has}") from None


def _is_environment(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, PrincipalAgentEnvironment)


def _entry(name: str, found: Any) -> Entry:
    """The entry of what stands behind a door: a class, an environment, or an entry.

    Raises:
      ValueError: it is something else, or there is something wrong with it.
    """
    try:
        if isinstance(found, Entry):
            check_entry(name, found)
            return found
        if isinstance(found, PrincipalAgentEnvironment):
            return make_entry(name, lambda: found, summary=_SUMMARY.format(found.name))
        if not inspect.isclass(found):
            kind = type(found).__name__
            raise TypeError(
                f"{name} must be a class of environments, an environment, or an Entry, not {kind}"
            )
        return make_entry(name, cast(Any, found))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _source(door: str, file: str | None) -> dict[str, str] | None:
    """Where the code of a game is, if it is in a file that does not come with jaxparl."""
    if file is None or not Path(file).is_file() or _OURS in Path(file).parents:
        return None
    return {"door": door, "file": os.path.abspath(file), "sha256": digest_of(file)}
