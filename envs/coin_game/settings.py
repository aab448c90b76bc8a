"""The sizes and rules of the Coin Game that may be chosen."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from jaxparl.config import check_count

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
        check_count(self, "grid_size", MIN_GRID, MAX_GRID)
        check_count(self, "max_steps_in_episode")
        most = self.grid_size**2 - 1
        check_count(self, "num_agents", 2, most, why=" (the coin needs a free cell)")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )
