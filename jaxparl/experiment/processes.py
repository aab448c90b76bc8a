"""Several processes that run one sweep together: which of them writes, and how they agree."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class OtherProcessError(OSError):
    """The first process has failed, and has printed why."""


def is_first() -> bool:
    """Whether this is the process that writes and prints; a process alone is."""
    return jax.process_index() == 0


def any_process(value: int) -> int:
    """The largest `value` of all processes, by which they agree on what to do next."""
    if jax.process_count() == 1:
        return int(value)
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def by_first(
    action: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result | None]:
    """Decorates an action that only the first process performs; the others wait, and get None.

    If it fails there, it fails in every process, so that none waits for one that has ended.

    Raises:
      OtherProcessError: in the other processes, where the first one has failed.
    """

    @functools.wraps(action)
    def together(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result | None:
        result, failure = None, None
        if is_first():
            try:
                result = action(*args, **options)
            except Exception as error:
                failure = error
        has_failed = any_process(failure is not None)
        if failure is not None:
            raise failure
        if has_failed:
            raise OtherProcessError("the first process has failed, and says why")
        return result

    return together
