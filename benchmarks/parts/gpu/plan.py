"""What is left of the time, how large everything is, and what becomes of what does not work out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from report_card import Row
from throughput import PAPERS


class Budget(NamedTuple):
    """The time until a deadline, in seconds of a clock."""

    deadline: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, seconds: float) -> Budget:
        """So many seconds from now on."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds from now on."""
        return self.deadline - self.clock()

    def within(self, seconds: float) -> Budget:
        """The same, or so many seconds from now on, if they are fewer."""
        return self._replace(deadline=min(self.deadline, self.clock() + seconds))


class TimeUpError(Exception):
    """Something took longer than there was time; the message says how long that was."""


class Sizes(NamedTuple):
    """How large everything is.

    Attributes:
      options: of the command line, by environment: what is changed of its presets.
      of_figures: likewise, of all figures.
      games: the most games that a part goes through, the first ones.
      trees: the most runs at once on trees.
      boards: the most on boards.
      contracts: programs of each shape that are priced.
      product: rows of the square matrices whose product is timed.
    """

    options: Mapping[str, tuple[str, ...]]
    of_figures: tuple[str, ...]
    games: int
    trees: int
    boards: int
    contracts: int
    product: int


FULL = Sizes(
    options={"game_tree": (), "coin_game": ()},
    of_figures=(),
    games=len(PAPERS),
    trees=1024,
    boards=256,
    contracts=4096,
    product=2048,
)
_NARROW = ("--hidden-sizes", "8", "--batch-size", "8", "--replay-capacity", "1600")
TINY = Sizes(
    options={
        "game_tree": ("--depth", "3", *_NARROW),
        "coin_game": ("--grid-size", "2", "--max-steps-in-episode", "8", *_NARROW),
    },
    of_figures=(
        *("--iterations", "200", "--evaluation-interval", "200"),
        *("--games", "0:1", "--seeds", "0:2"),
    ),
    games=1,
    trees=4,
    boards=4,
    contracts=64,
    product=128,
)


class Plan(NamedTuple):
    """What a part is given: its time, the sizes, and a folder for runs that are resumed."""

    budget: Budget
    sizes: Sizes
    folder: Path

    def options(self, name: str) -> tuple[str, ...]:
        """What is changed of the preset of a game, by the name that it has in `PAPERS`."""
        environment, _ = PAPERS[name]
        return self.sizes.options[environment]


def attempt(name: str, budget: Budget, least: float, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as they are measured; where something is wrong, a row says so instead of an error.

    Args:
      name: what is measured.
      budget: what is left.
      least: seconds without which it is not begun.
      rows: what measures it, row by row.
    """
    left = max(0.0, budget.left())
    if left < least:
        yield Row(name, f"left out: {left:.0f} s are left, and it takes {least:.0f} s", "", None)
        return
    try:
        yield from rows
    except TimeUpError as error:
        yield Row(name, f"cut: {error}", "", None)
    except Exception as error:  # the other parts are measured all the same
        traceback.print_exc()
        yield Row(name, f"failed: {error}", "", False)
