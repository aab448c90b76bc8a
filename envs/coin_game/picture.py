"""The board of the Coin Game as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

_DISC, _RING = 0.34, 0.2
_ROUND = np.linspace(0.0, 2 * np.pi, 60)
# Agents that share a cell stand this far from its middle, each on a side of its own.
_ASIDE = 0.16


def draw(axes: Any, size: int, state: Any) -> None:
    """Draws a `CoinState` on axes of matplotlib, a cell of the torus one unit wide."""
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xticks=[], yticks=[])
    for line in range(size + 1):
        axes.plot([0, size], [line, line], color="0.8", linewidth=1, clip_on=False)
        axes.plot([line, line], [0, size], color="0.8", linewidth=1, clip_on=False)
    cells = np.asarray(state.agents)
    for agent, cell in enumerate(cells):
        x, y = _middle(cell, size)
        together = np.flatnonzero(cells == cell).tolist()
        if len(together) > 1:
            angle = 2 * np.pi * together.index(agent) / len(together)
            x, y = x - _ASIDE * np.cos(angle), y - _ASIDE * np.sin(angle)
        axes.fill(*_circle(x, y, _DISC), color=f"C{agent}")
        axes.text(x, y, str(agent), color="white", ha="center", va="center", weight="bold")
    ring = _circle(*_middle(int(state.coin), size), _RING)
    axes.fill(*ring, color="white")
    axes.plot(*ring, color=f"C{int(state.colour)}", linewidth=15 / size)


def _middle(cell: int, size: int) -> tuple[float, float]:
    row, column = divmod(int(cell), size)
    return column + 0.5, row + 0.5


def _circle(x: float, y: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    return x + radius * np.cos(_ROUND), y + radius * np.sin(_ROUND)
