"""What orbax does beside reading and writing: it prints hundreds of lines, and sets up logging."""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

# What a system says when it cannot read or write; a library says it in the middle of many words.
_OF_THE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO)
_LONGEST_REASON = 200
# For a thread that is about to fail like the others, in seconds.
_LONGEST_WAIT = 5.0

_Result = TypeVar("_Result")


def in_one_line(action: Callable[[], _Result]) -> _Result:
    r"""What an action of orbax returns; whatever it raises becomes an OSError of one line.

    Where one of its tasks fails, orbax logs a traceback from each of its threads, and abandons the
    other tasks, which print theirs when they are collected. All of that repeats the error.

    Raises:
      OSError: the action has failed.

    Examples:
      >>> def fail():
      ...     raise ValueError("FAILED: No space left on device [7]\n  and more")
      >>> in_one_line(fail)
      Traceback (most recent call last):
      OSError: No space left on device
    """
    with _errors_unlogged():
        try:
            return action()
        except Exception as error:
            reason = _reason(error)
        for thread in threading.enumerate():
            if type(thread).__module__.startswith("orbax."):
                # Not by its own `join`, which raises what it has failed with.
                threading.Thread.join(thread, _LONGEST_WAIT)
        # Out of reach of the error, so that the tasks that it refers to are collected here.
        gc.collect()
    raise OSError(reason)


def _reason(error: Exception) -> str:
    """Why an action has failed: what the system says, if that is in it, or its first line."""
    text = str(error)
    said = (os.strerror(number) for number in _OF_THE_SYSTEM)
    first_line = next(iter(text.strip().splitlines()), type(error).__name__)
    return next((reason for reason in said if reason in text), first_line[:_LONGEST_REASON])


@contextmanager
def _errors_unlogged() -> Iterator[None]:
    def is_no_error(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    loggers, hook = [logging.getLogger(name) for name in ("absl", "asyncio")], sys.unraisablehook
    for logger in loggers:
        logger.addFilter(is_no_error)
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for logger in loggers:
            logger.removeFilter(is_no_error)


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Leaves the root logger the handlers that it has.

    Orbax logs while it is imported; absl then configures logging, and a later `basicConfig` of
    whoever imports us would do nothing.
    """
    before = [*logging.root.handlers]
    yield
    logging.root.handlers[:] = before
