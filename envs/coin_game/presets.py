"""The presets of the Coin Game.

`figure2` and `figure4` learn as in the paper. The others learn from several environments at once
and a centred view, in far fewer iterations. docs/method.md says which settings are the paper's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jaxparl.config import Config
from jaxparl.envs.coin_game.settings import Settings
from jaxparl.envs.registry.presets import SEVERAL_AGENTS, Preset

_PAPER = dataclasses.replace(
    SEVERAL_AGENTS,
    iterations=1_000_000,
    num_envs=1,
    replay="prioritised",
    target_interval=100,
    target_window=0.0,
    principal_target_window=0.0,
    evaluation_interval=20_000,
)
_FAST = dataclasses.replace(SEVERAL_AGENTS, iterations=40_000, evaluation_interval=4_000)


_BOARD7, _BOARD3 = Settings(), Settings(grid_size=3, max_steps_in_episode=20)
_THREE = dataclasses.replace(_BOARD3, num_agents=3, view="centred")


def _fast(hyper_params: Mapping[str, float], **changes: int) -> Config:
    """The fast presets' config, with changes of its hyper-parameters and its counts."""
    fast = {"learning_rate": 5e-4, "epsilon": 0.2, "validation_epsilon": 0.05}
    changed = dataclasses.replace(_FAST.hyper_params, **fast | dict(hyper_params))
    return dataclasses.replace(_FAST, hyper_params=changed, **changes)


#: Four times as many environments as the other presets, and a replay for as many iterations.
_MANY = {"num_envs": 32, "replay_capacity": 400_000}
#: All agents follow in half of the episodes.
_OF_THREE = {"nudge": 0.05, "learning_rate": 1e-3, "follow_share": 0.8}


def _preset(summary: str, settings: Settings, config: Config, seeds: str) -> Preset:
    """The game is not random, so there is one; its principals are validated."""
    return Preset(
        summary=summary, settings=settings, config=config, games="0:1", seeds=seeds, validate=True
    )


def _centred(settings: Settings) -> Settings:
    return dataclasses.replace(settings, view="centred")


#: By name. Figure 2 of the paper is of a 7x7 board, Figure 4 of 3x3.
PRESETS = {
    "quick": _preset(
        "3x3, 2 seeds of 8,000 iterations, to look around",
        _centred(_BOARD3),
        _fast({"nudge": 0.05}, iterations=8_000),
        seeds="0:2",
    ),
    "figure2": _preset(
        "Figure 2 of the paper, 7x7: 5 seeds of 1,000,000 iterations",
        _BOARD7,
        _PAPER,
        seeds="0:5",
    ),
    "figure2_fast": _preset(
        "7x7, 32 environments: 1 seed of 80,000 iterations",
        _centred(_BOARD7),
        _fast(
            {"nudge": 0.03, "learning_rate": 1e-3},
            iterations=80_000,
            evaluation_interval=8_000,
            **_MANY,
        ),
        seeds="0:1",
    ),
    "figure4": _preset(
        "Figure 4 of the paper, 3x3: 5 seeds of 1,000,000 iterations",
        _BOARD3,
        _PAPER,
        seeds="0:5",
    ),
    "figure4_fast": _preset(
        "3x3, 8 environments: 3 seeds of 40,000 iterations",
        _centred(_BOARD3),
        _fast({"nudge": 0.05}, evaluation_interval=2_000),
        seeds="0:3",
    ),
    "three": Preset(
        summary="3x3 with three agents: 3 seeds of 40,000 iterations",
        settings=_THREE,
        config=_fast(_OF_THREE, **_MANY),
        games="0:1",
        seeds="0:3",
    ),
}
