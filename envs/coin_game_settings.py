"""The sizes and rules of the Coin Game that may be chosen, and the presets of the command line."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

MIN_GRID, MAX_GRID = 2, 15

SharedCoin = Literal["one", "all"]
NewCoin = Literal["alternating", "random"]
View = Literal["board", "centred"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes and rules of the Coin Game.

    Attributes:
      grid_size: rows, and columns, of the torus.
      max_steps_in_episode: the time limit in the default params.
      num_agents: at least 2, and fewer than there are cells.
      shared_coin: who gets a coin that several agents reach at once: one of them, by a fair
        draw, or all of them.
      new_coin: the colour of the next coin: that of the agent after the last one's owner, or
        that of any agent, uniformly.
      view: what agents see: the `board` as it lies, as in the paper, or `centred`, each from where
        it stands. On a torus nothing depends on where one stands, so a centred view leaves out
        nothing that matters, and C times fewer views are to be told apart.
    """

    grid_size: int = 7
    max_steps_in_episode: int = 50
    num_agents: int = 2
    shared_coin: SharedCoin = "one"
    new_coin: NewCoin = "alternating"
    view: View = "board"

    def __post_init__(self) -> None:
        if not isinstance(self.grid_size, int) or not MIN_GRID <= self.grid_size <= MAX_GRID:
            raise ValueError(
                f"grid_size must be between {MIN_GRID} and {MAX_GRID}, not {self.grid_size}"
            )
        if not isinstance(self.max_steps_in_episode, int) or self.max_steps_in_episode < 1:
            raise ValueError(
                f"max_steps_in_episode must be at least 1, not {self.max_steps_in_episode}"
            )
        most = self.grid_size**2 - 1
        if not isinstance(self.num_agents, int) or not 2 <= self.num_agents <= most:
            raise ValueError(
                f"num_agents must be between 2 and {most} (the coin needs a free cell), "
                f"not {self.num_agents}"
            )
        for name, choices in (
            ("shared_coin", get_args(SharedCoin)),
            ("new_coin", get_args(NewCoin)),
            ("view", get_args(View)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )


# The learner's settings for this game; docs/method.md says which are the paper's.
_LEARNER: dict[str, Any] = {
    "games": "0:1",
    "seeds": "0:5",
    "validate": True,
    "hidden_sizes": (64, 64),
    "learning_rate": 5e-4,
    "learning_rate_final": 1e-4,
    "principal_learning_rate_final": 1e-4,
    "epsilon": 0.4,
    "epsilon_final": 0.0,
    "exploration": "per_step",
    "critic": "per_action",
    "follow_share": 0.5,
    "alpha": 0.1,
    "nudge": 0.0,
    "loss": "huber",
    "max_gradient_norm": 10.0,
    "target_window": 0.0,
    "principal_target_window": 0.0,
}
_PAPER: dict[str, Any] = {
    **_LEARNER,
    "iterations": 1_000_000,
    "num_envs": 1,
    "replay": "prioritised",
    "replay_capacity": 100_000,
    "evaluation_interval": 20_000,
}
_FAST: dict[str, Any] = {
    **_LEARNER,
    "view": "centred",
    "iterations": 40_000,
    "num_envs": 8,
    "replay_capacity": 100_000,
    "epsilon": 0.2,
    "validation_epsilon": 0.05,
    "target_interval": 25,
    "target_window": 0.1,
    "principal_target_window": 0.1,
    "evaluation_interval": 4_000,
}
_SMALL: dict[str, Any] = {"grid_size": 3, "max_steps_in_episode": 20}

#: Named options of the command line.
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {**_FAST, **_SMALL, "seeds": "0:2", "iterations": 8_000, "nudge": 0.05},
    "figure2": _PAPER,
    "figure2_fast": {
        **_FAST,
        "seeds": "0:1",
        "iterations": 80_000,
        "num_envs": 32,
        "replay_capacity": 400_000,
        "learning_rate": 1e-3,
        "nudge": 0.03,
        "evaluation_interval": 8_000,
    },
    "figure4": {**_PAPER, **_SMALL},
    "figure4_fast": {
        **_FAST,
        **_SMALL,
        "seeds": "0:3",
        "evaluation_interval": 2_000,
        "nudge": 0.05,
    },
}
