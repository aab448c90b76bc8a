"""The board of Cleanup as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

_ROUND = np.linspace(0, 2 * np.pi, 60)
_WATER, _GRASS, _TREES = (0.68, 0.85, 0.95), (0.96, 0.95, 0.90), (0.80, 0.92, 0.75)
_WASTE, _APPLE = "#8C6D4F", "#C1121F"


def draw(axes: Any, state: Any, river: Any, orchard: Any) -> None:
    """Draws a `CleanupState` on axes of matplotlib, a cell one unit wide.

    Args:
      axes: empty ones.
      state: what is drawn.
      river: `[H, W]` bool, which cells are its.
      orchard: likewise.
    """
    height, width = river.shape
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
    ground = np.where(river, 0, np.where(orchard, 2, 1))
    axes.imshow(np.array([_WATER, _GRASS, _TREES])[ground], extent=(0, width, height, 0))
    axes.hlines(range(height), 0, width, color="white", linewidth=1)
    axes.vlines(range(width), 0, height, color="white", linewidth=1)
    for what, colour, radius in ((state.waste, _WASTE, 0.4), (state.apples, _APPLE, 0.18)):
        for row, column in np.argwhere(np.asarray(what)):
            axes.fill(*_circle(row, column, radius), color=colour)
    for agent, (row, column) in enumerate(np.asarray(state.agents)):
        axes.fill(*_circle(row, column, 0.34), color=f"C{agent}")
        middle = column + 0.5, row + 0.5
        axes.text(*middle, str(agent), color="white", ha="center", va="center", weight="bold")


def _circle(row: int, column: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    return column + 0.5 + radius * np.cos(_ROUND), row + 0.5 + radius * np.sin(_ROUND)
