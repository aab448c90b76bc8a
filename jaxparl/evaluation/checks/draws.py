"""What random draws tell about a mean or a probability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A frequency that is as unlikely as this is wrong.
_LEAST_LIKELY = 1e-9
#: Probabilities and rewards that rules and table both round to float32.
TOLERANCE = 1e-5
#: A mean is wrong if it is off by so many standard errors.
MOST_ERRORS = 6.0


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


def off_alone(drawn: Draws, own: np.ndarray, happens: np.ndarray) -> np.ndarray:
    """Which means contradict what they are said to be, `own`, of those that happen."""
    off, variance = drawn.mean - own, np.where(happens, drawn.variance, 0) / drawn.size
    # A reward that comes rarely may never have been drawn here: others tell how much it varies.
    usual = np.nan_to_num(variance).sum() / max(1, happens.sum())
    error = _slack(own) + MOST_ERRORS * np.sqrt(np.fmax(variance, usual))
    is_off: np.ndarray = happens & ~(np.abs(off) <= error)
    return is_off


def off_together(drawn: Draws, own: np.ndarray, happens: np.ndarray) -> np.ndarray:
    """Which sums over the first axis do: an error that all have shows, however few draws are."""
    total = np.where(happens, drawn.mean - own, 0).sum(axis=0)
    variance = np.where(happens, drawn.variance, 0) / drawn.size
    error = np.where(happens, _slack(own), 0).sum(axis=0)
    is_off: np.ndarray = np.abs(total) > error + MOST_ERRORS * np.sqrt(variance.sum(axis=0))
    return is_off


def surely_off(drawn: Draws, own: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Which means do, whatever is drawn rarely, by the empirical bound of Bernstein.

    Maurer & Pontil 2009 (arXiv 0907.3740), Theorem 4.

    Args:
      drawn: means of many draws.
      own: what they are said to be.
      span: the difference between the largest and the least value that may be drawn.

    Examples:
      In 256 draws nothing was seen of a reward of 10 that comes once in 100 steps:

      >>> none = Draws(mean=np.zeros(2), variance=np.zeros(2), size=256)
      >>> surely_off(none, np.array([0.1, 5.0]), np.float64(10.0)).tolist()
      [False, True]
    """
    surprise = np.log(2 * own.size / _LEAST_LIKELY)
    error = np.sqrt(2 * drawn.variance * surprise / drawn.size)
    error = error + 7 * span * surprise / (3 * (drawn.size - 1))
    is_off: np.ndarray = ~(np.abs(drawn.mean - own) <= error + _slack(own))
    return is_off


def _slack(own: np.ndarray) -> np.ndarray:
    return TOLERANCE * np.maximum(1, np.abs(own))


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
