"""The sizes and rules of the Coin Game that may be chosen."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

MIN_GRID, MAX_GRID = 2, 15

SharedCoin = Literal["one", "all"]
NewCoin = Literal["alternating", "random"]
View = Literal["board", "centred"]

_CHOICES = {
    "shared_coin": get_args(SharedCoin),
    "new_coin": get_args(NewCoin),
    "view": get_args(View),
}


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
      stay: whether there is a fifth action, to stay where one is. In the paper there is not.
      view: what agents see: the `board` as it lies, as in the paper, or `centred`, each from where
        it stands. Nothing on a torus depends on absolute positions, so a centred view loses no
        relevant information, and there are C times fewer views to tell apart.

    Raises:
      ValueError: a size is out of range, or a rule is unknown.

    Examples:
      >>> Settings(grid_size=3).new_coin
      'alternating'
      >>> Settings(grid_size=2, num_agents=4)
      Traceback (most recent call last):
      ...
      ValueError: num_agents must be between 2 and 3 (the coin needs a free cell), not 4
    """

    grid_size: int = 7
    max_steps_in_episode: int = 50
    num_agents: int = 2
    shared_coin: SharedCoin = "one"
    new_coin: NewCoin = "alternating"
    stay: bool = False
    view: View = "board"

    @property
    def num_actions(self) -> int:
        """Four: 0 right, 1 left, 2 down, 3 up; and 4, if agents may stay."""
        return 5 if self.stay else 4

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
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )
