"""Presets: named sets of options, as an author gives them, or made for a game without any."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, PrincipalAgentEnvironment

#: The preset that every environment has: the one that the command line takes if none is named.
QUICK = "quick"

#: How several agents learn: what the presets of the Coin Game begin with, too.
SEVERAL_AGENTS = Config(
    iterations=10_000,
    replay_capacity=100_000,
    hidden_sizes=(64, 64),
    critic="per_action",
    loss="huber",
    max_gradient_norm=10.0,
    exploration="per_step",
    target_interval=25,
    target_window=0.1,
    principal_target_window=0.1,
    evaluation_interval=1_000,
    hyper_params=HyperParams(
        learning_rate=5e-4,
        learning_rate_final=1e-4,
        principal_learning_rate_final=1e-4,
        epsilon=0.4,
        epsilon_final=0.0,
        follow_share=0.5,
        alpha=0.1,
        nudge=0.0,
    ),
)


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
    # Which is long, and shown by itself.
    config: Config = dataclasses.field(repr=False)
    games: str = "0:2"
    seeds: str = "0:2"
    validate: bool = False


def quick_preset(env: Environment, settings: Any) -> Preset:
    """The preset `quick` of a game that brings none: some minutes at most on two cores.

    One agent learns as on the trees, several agents as on the Coin Game. Games differ in what they
    need, so this is where an author begins.
    """
    is_random = type(env).sample_params is not PrincipalAgentEnvironment.sample_params
    config = Config() if env.num_agents == 1 else _several_agents()
    critic = "per_action" if env.observed_actions else "per_outcome"
    games = "0:2" if is_random else "0:1"
    drawn = "2 games x 2 seeds" if is_random else "2 seeds"
    return Preset(
        summary=f"{drawn} of {config.iterations:,} iterations, to look around",
        settings=settings,
        config=dataclasses.replace(config, critic=critic),
        games=games,
    )


def _several_agents() -> Config:
    hyper_params = dataclasses.replace(
        SEVERAL_AGENTS.hyper_params, epsilon=0.2, validation_epsilon=0.05, nudge=0.05
    )
    return dataclasses.replace(SEVERAL_AGENTS, hyper_params=hyper_params)


def preset_of(
    title: str,
    options: Mapping[str, Any],
    settings_class: type,
    build: Callable[[Any], Environment],
) -> Preset:
    """A preset from options by name, as they are on the command line; the others are `quick`'s.

    Args:
      title: what the preset is called in a message.
      options: settings of the game, fields of `Config` and `HyperParams`, and those of `Preset`.
      settings_class: of the game.
      build: settings -> environment.

    Raises:
      ValueError: there is no such option, or a value is out of its range.
    """
    groups = [_names(kind) for kind in (settings_class, Config, HyperParams)]
    own = {"summary", "games", "seeds", "validate"}
    known = [name for names in (*groups, own) for name in sorted(names)]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            hint = f"did you mean {close[0]}? It may have" if close else "it may have"
            raise ValueError(
                f"{title} has {name!r}, which it cannot set; {hint}: {', '.join(known)}"
            )
    of_settings, of_config, of_hyper_params = (
        {name: value for name, value in options.items() if name in names} for names in groups
    )
    try:
        settings = settings_class(**of_settings)
        base = quick_preset(build(settings), settings)
        hyper_params = dataclasses.replace(base.config.hyper_params, **of_hyper_params)
        config = dataclasses.replace(base.config, hyper_params=hyper_params, **of_config)
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from error
    changes = {name: value for name, value in options.items() if name in own}
    summary = f"its options, {config.iterations:,} iterations"
    return dataclasses.replace(
        base, **{"summary": summary, **changes}, settings=settings, config=config
    )


def _names(kind: type) -> set[str]:
    """The options that the fields of a dataclass are; `Config` holds another one."""
    return {field.name for field in dataclasses.fields(kind)} - {"hyper_params"}
