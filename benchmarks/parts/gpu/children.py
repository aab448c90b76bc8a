"""Processes that are ended when their time is up, with all that they have started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from parts.gpu.plan import Budget, TimeUpError

FOLDER = Path(__file__).parents[2]
#: A process that is asked to end has so long to do so, in seconds: training writes a checkpoint.
GRACE = 20.0


class ChildError(Exception):
    """A process failed; the message is the last line of what it said."""


def measure(
    task: str, budget: Budget, flags: str = "", **arguments: Any
) -> Iterator[dict[str, Any]]:
    """What a task of `measuring` finds, in a process that has the GPU for itself.

    Args:
      task: its name.
      budget: until when it may take.
      flags: for XLA, besides those that are set.
      arguments: of the task, which JSON can express.

    Raises:
      TimeUpError: it took longer; what it found before has been yielded.
      ChildError: it failed.
    """
    line = [sys.executable, "-m", "parts.gpu.measuring", task, json.dumps(arguments)]
    paths = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    for found in lines(line, budget, **with_flags(flags), PYTHONPATH=paths):
        yield json.loads(found)


def with_flags(flags: str) -> dict[str, str]:
    """The environment variable that adds flags for XLA to those that are set."""
    return {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}


def lines(line: Sequence[str], budget: Budget, **environment: str) -> Iterator[str]:
    """What a command prints, line by line.

    Args:
      line: the command.
      budget: until when it may take; then it is asked to end, and in the end it is killed.
      environment: variables that it is given.

    Raises:
      TimeUpError: it took longer.
      ChildError: it failed.
    """
    seconds, is_late = budget.left(), threading.Event()
    # The process that reports holds no memory of the GPU: a child takes it as users' processes do.
    given = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "true"} | environment
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        with subprocess.Popen(
            line,
            env=given,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            errors="replace",
            # So that what it starts can be ended with it.
            start_new_session=True,
        ) as process:

            def end() -> None:
                is_late.set()
                _signal(process, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
                _signal(process, signal.SIGKILL)

            timer = threading.Timer(max(0.0, seconds), end)
            timer.start()
            try:
                assert process.stdout is not None
                yield from process.stdout
                process.wait()
            finally:
                timer.cancel()
                _signal(process, signal.SIGKILL)
        last = _pass_on(said)
    if is_late.is_set():
        raise TimeUpError(f"ended after {seconds:.0f} s")
    if process.returncode:
        raise ChildError(f"{last} (exit code {process.returncode})")


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """Sends a signal to a process and to all that it has started, if there are any left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _pass_on(said: IO[str]) -> str:
    """Prints what a process has said about itself; returns the last line."""
    said.seek(0)
    text = said.read()
    print(text, end="", file=sys.stderr, flush=True)
    return (text.strip().splitlines() or ["it said nothing"])[-1]
