"""What random draws tell about a mean or a probability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A frequency that is as unlikely as this is wrong.
_LEAST_LIKELY = 1e-9


class Draws(NamedTuple):
    """The mean and the variance of so many draws of each reward."""

    mean: np.ndarray
    variance: np.ndarray
    size: int

    @classmethod
    def of(cls, drawn: np.ndarray) -> Draws:
        """Of draws `[..., D]`."""
        drawn = drawn.astype(float)
        return cls(drawn.mean(axis=-1), drawn.var(axis=-1), drawn.shape[-1])


def unlikely(counts: np.ndarray, draws: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Whether so many of so many draws contradict a probability, by Chernoff's bound.

    Examples:
      >>> unlikely(np.array([40, 64]), np.array([64, 64]), np.array([0.5, 0.5])).tolist()
      [False, True]
    """
    share, probs = counts / np.maximum(draws, 1), probs.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.where(share > 0, share * np.log(share / probs), 0)
        misses = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - probs)), 0)
    is_unlikely: np.ndarray = draws * (hits + misses) > np.log(counts.size / _LEAST_LIKELY)
    return is_unlikely
