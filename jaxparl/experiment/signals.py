"""When a long computation stops, and when it saves its state: between evaluations, never inside."""

from __future__ import annotations

import signal
import time
from types import FrameType

# The share of all time that checkpoints may take.
_CHECKPOINT_SHARE = 0.02


class Interruption:
    """Catches the first SIGINT or SIGTERM, so that an evaluation interval can end.

    A context manager. The second signal ends the process.

    Attributes:
      signal: the number of the signal that was caught, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

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
