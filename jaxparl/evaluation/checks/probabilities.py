"""Whether arrays of probabilities are such."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# By how much a row of probabilities, rounded to float32, may miss its sum.
_ROW_SLACK = 1e-4


def bad_rows(probs: np.ndarray) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What is wrong with rows `[..., X]`, and the first row in which it is.

    Examples:
      >>> list(bad_rows(np.array([[0.5, 0.5], [0.5, 0.75], [np.nan, 1.0]])))
      [('are NaN or infinite', (2,)), ('sum to 1.25, not to 1', (1,))]
    """
    with np.errstate(invalid="ignore"):
        least, sums = probs.min(axis=-1), probs.sum(axis=-1)
    for is_wrong, what in (
        (~np.isfinite(sums), "are NaN or infinite"),
        (least < 0, "are negative, {least:.6g}"),
        (np.isfinite(sums) & (np.abs(sums - 1) > _ROW_SLACK), "sum to {sum:.6g}, not to 1"),
    ):
        for row in np.argwhere(is_wrong)[:1]:
            at = tuple(map(int, row))
            yield what.format(least=least[at], sum=sums[at]), at
