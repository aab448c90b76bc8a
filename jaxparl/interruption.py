"""When a long computation stops, or writes down where it stands: between chunks, never inside."""

from __future__ import annotations

import signal
import time
from types import FrameType

# Of all time, what checkpoints may take.
_SHARE = 0.02


class Interruption:
    """Catches the first SIGINT or SIGTERM, so that a chunk can end; the second one kills.

    A context manager. `signal` is the number of the signal that was caught, or None.
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


class Pace:
    """When a checkpoint is due.

    Args:
      seconds: between two of them; None: so many that writing takes 2% of the time.
    """

    def __init__(self, seconds: float | None):
        self._seconds = seconds
        self._wait = seconds or 0.0
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self._wait

    def took(self, seconds: float) -> None:
        """Notes what the one just written took."""
        if self._seconds is None:
            self._wait = seconds * (1 - _SHARE) / _SHARE
        self._last = time.monotonic()
