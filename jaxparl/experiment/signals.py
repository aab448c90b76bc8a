"""When a long computation stops, and when it saves its state: between evaluations, never inside."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

_ASK_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# The share of all time that checkpoints may take.
_CHECKPOINT_SHARE = 0.02


class Interruption:
    """Catches the first signal that asks to stop, so that an evaluation interval can end.

    Those are SIGINT and SIGTERM, and SIGUSR1 and SIGHUP, which Slurm and terminals send. A context
    manager. The second signal ends the process. Only the main thread of a process can catch
    signals; in another one nothing is caught, and whoever has the main thread decides.

    Attributes:
      signal: the number of the signal that was caught, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _ASK_TO_STOP:
                # `nohup` ignores SIGHUP on behalf of what it starts.
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not installed from Python, and cannot be now.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _catch(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)


class CheckpointSchedule:
    """Says when a checkpoint is due.

    Args:
      seconds: the least time between two checkpoints; None: as long as it takes for writing to be
        2% of all time.
    """

    def __init__(self, seconds: float | None):
        self._seconds = seconds
        self._wait = seconds or 0.0
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self._wait

    def record(self, seconds: float) -> None:
        """Takes note of a checkpoint that has just been written, in so many seconds."""
        if self._seconds is None:
            self._wait = seconds * (1 - _CHECKPOINT_SHARE) / _CHECKPOINT_SHARE
        self._last = time.monotonic()
