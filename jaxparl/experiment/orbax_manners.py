"""What orbax does beside reading and writing: it prints hundreds of lines, and sets up logging."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

# What a system says when it cannot read or write; a library says it in the middle of many words.
_OF_THE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO)
_LONGEST_REASON = 200
# For a thread that is about to fail like the others, in seconds.
_LONGEST_WAIT = 5.0

# Silences that are never lifted: of tasks that have been abandoned.
_LASTING: list[ExitStack] = []

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
    with _logged(_is_no_error, "absl"), ExitStack() as silence:
        silence.enter_context(_logged(_is_of_a_task_in_use, "asyncio"))
        silence.enter_context(_tasks_of_closed_loops_unheard())
        try:
            return action()
        except Exception as error:
            reason = _reason(error)
            for thread in threading.enumerate():
                if type(thread).__module__.startswith("orbax."):
                    # Not by its own `join`, which raises what it has failed with.
                    threading.Thread.join(thread, _LONGEST_WAIT)
            # The other tasks may end at any time, at the latest with the process.
            _LASTING.append(silence.pop_all())
    raise OSError(reason)


def _reason(error: Exception) -> str:
    """Why an action has failed: what the system says, if that is in it, or its first line."""
    text = str(error)
    said = (os.strerror(number) for number in _OF_THE_SYSTEM)
    first_line = next(iter(text.strip().splitlines()), type(error).__name__)
    return next((reason for reason in said if reason in text), first_line[:_LONGEST_REASON])


def _is_no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR


def _is_of_a_task_in_use(record: logging.LogRecord) -> bool:
    return "exception was never retrieved" not in record.getMessage()


@contextmanager
def _logged(rule: Callable[[logging.LogRecord], bool], name: str) -> Iterator[None]:
    """Lets a logger log only what a rule allows."""
    logger = logging.getLogger(name)
    logger.addFilter(rule)
    try:
        yield
    finally:
        logger.removeFilter(rule)


@contextmanager
def _tasks_of_closed_loops_unheard() -> Iterator[None]:
    before = sys.unraisablehook

    def hook(found: sys.UnraisableHookArgs) -> None:
        if str(found.exc_value) != "Event loop is closed":
            before(found)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Leaves the root logger the handlers that it has.

    Orbax logs while it is imported; absl then configures logging, and a later `basicConfig` of
    whoever imports us would do nothing.
    """
    before = [*logging.root.handlers]
    yield
    logging.root.handlers[:] = before
