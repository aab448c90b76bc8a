"""Several processes that train one sweep together: who writes, and how they agree."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class OtherProcessError(OSError):
    """The first process could not do its part, and has said why."""


def is_first() -> bool:
    """Whether this is the process that writes and prints; alone, it is."""
    return jax.process_index() == 0


def any_process(value: int) -> int:
    """The largest `value` of all processes, which so agree on what to do next."""
    if jax.process_count() == 1:
        return int(value)
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def by_first(action: Callable[_Given, _Made]) -> Callable[_Given, _Made | None]:
    """Makes an action that the first process does, and the others wait for: they get None.

    If it fails there, it fails everywhere, so that nobody waits for a process that has ended.
    """

    @functools.wraps(action)
    def together(*args: _Given.args, **options: _Given.kwargs) -> _Made | None:
        made, failure = None, None
        if is_first():
            try:
                made = action(*args, **options)
            except Exception as error:
                failure = error
        has_failed = any_process(failure is not None)
        if failure is not None:
            raise failure
        if has_failed:
            raise OtherProcessError("the first process has failed, and says why")
        return made

    return together
