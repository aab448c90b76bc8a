"""The game that a command line names: found behind its door, and what of it can be set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from jaxparl.environment import Environment, GameParams
from jaxparl.envs import Entry, Game, build, find, names, refused
from jaxparl.envs.registry.code import explained
from jaxparl.envs.registry.entries import RESERVED
from jaxparl.experiment import console
from jaxparl.experiment.options import Job, numbers_of


def find_game(text: str) -> Game:
    """The game that a command line names; a warning says which other one has its name.

    Raises:
      ValueError: see `find`.
    """
    for line in refused(text):
        console.warn(line)
    return find(text)


def all_games() -> Iterator[tuple[str, Entry]]:
    """Every game that has a name; a warning says which ones are left out, and why."""
    for line in refused():
        console.warn(line)
    for name in names():
        try:
            yield name, find(name).entry
        except ValueError as error:
            console.warn(str(error))


def environment_of(job: Job) -> Environment:
    """The environment that a job is about.

    Raises:
      ValueError: it cannot be created.
    """
    game = find(job.door)
    try:
        return build(game.name, game.entry.environment, job.settings)
    except TypeError as error:
        raise ValueError(str(error)) from error


def params_of(game: Game, settings: Any) -> tuple[GameParams, Mapping[str, float]]:
    """The default params of a game, and the numbers among them, which can be set and swept.

    Raises:
      ValueError: it has none, or one of them is called as an option is.
    """
    name = game.name
    try:
        env = build(name, game.entry.environment, settings)
    except TypeError as error:
        raise ValueError(str(error)) from error
    with explained(f"the default_params of {name} cannot be created", type(env)):
        env_params = env.default_params
    if not isinstance(env_params, GameParams):
        raise ValueError(
            f"the default_params of {name} must be of a class that derives GameParams, not "
            f"{type(env_params).__name__}"
        )
    numbers = numbers_of(env_params)
    own = {field.name for field in dataclasses.fields(game.entry.settings)}
    for param in numbers:
        if param in RESERVED or param in own:
            other = "one of its settings" if param in own else "an option of every game"
            raise ValueError(
                f"the param {param!r} of {name} is called as {other} is; give it another name"
            )
    return env_params, numbers
