"""What is printed may be lost; what is computed may not."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def unbreakable() -> Iterator[None]:
    """Lets nothing fail because it cannot print.

    A pipe may be closed that nobody reads any more, a terminal may be gone, and the disk that holds
    a log may be full. From then on that stream swallows what is written to it.
    """
    with contextlib.ExitStack() as stack:
        for redirect, stream in (
            (contextlib.redirect_stdout, sys.stdout),
            (contextlib.redirect_stderr, sys.stderr),
        ):
            # Whoever starts a process may have closed its streams; Python then has None there.
            below = stack.enter_context(open(os.devnull, "w")) if stream is None else stream
            replacement = _Unbreakable(below)
            stack.enter_context(redirect(replacement))
            stack.callback(replacement.flush)
        yield


class _Unbreakable:
    """A stream that swallows what the one below cannot write."""

    def __init__(self, below: IO[str]):
        self._below = below
        self._is_lost = False

    def write(self, text: str) -> int:
        """Writes a text, or loses it; returns its length either way."""
        if not self._is_lost:
            with self._losing():
                self._below.write(text)
        return len(text)

    def flush(self) -> None:
        """Passes on what is in the buffer, or loses it."""
        if not self._is_lost:
            with self._losing():
                self._below.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._is_lost = True
            # What is still in its buffer is written when the process ends, and would fail again.
            with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._below.fileno())
