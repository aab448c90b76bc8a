"""What a job is where its command line says nothing: as a preset asks for, or an earlier run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jaxparl.cli.games import find_game
from jaxparl.envs import Game
from jaxparl.experiment.options import Job, RunOptions
from jaxparl.experiment.rerun import Earlier, restore


def defaults_of_preset(name: str, preset_name: str) -> tuple[Game, Job]:
    """The game of that name, or behind that door, and what one of its presets asks for.

    Raises:
      ValueError: there is no such game, or it has no such preset.
    """
    game = find_game(name)
    presets = game.entry.presets
    if preset_name not in presets:
        there = ", ".join(presets)
        raise ValueError(f"{game.name} has no preset {preset_name!r}; it has: {there}")
    preset = presets[preset_name]
    options = RunOptions(
        preset=preset_name, games=preset.games, seeds=preset.seeds, validate=preset.validate
    )
    job = Job(game.name, game.entry.label, preset.settings, options, preset.config)
    return game, dataclasses.replace(job, source=game.source)


def defaults_of_earlier(name: str, earlier: Earlier, path: str) -> tuple[Game, Job]:
    """The same of an earlier run, which config.json at `path` describes.

    Raises:
      ValueError: there is no such game, the run is of another one, or it has settings that the game
        no longer has.
    """
    try:
        game = find_game(name)
    except ValueError as error:
        if name != earlier.door:
            raise
        raise ValueError(
            f"{error}. It is the game of {path}; if it is elsewhere now, say so before --config"
        ) from error
    if game.name != earlier.environment:
        raise ValueError(f"{path} is of a run of {earlier.environment}, not of {game.name}")
    try:
        settings = restore(game.entry.settings, earlier.settings)
    except TypeError as error:
        raise ValueError(f"{path} does not fit this version of {game.name}: {error}") from error
    options = dataclasses.replace(earlier.options, config=Path(path))
    job = Job(game.name, game.entry.label, settings, options, earlier.config, earlier.env_params)
    return game, dataclasses.replace(job, source=game.source)
