"""Which part of a sweep a task of a Slurm array trains, if nothing else says so."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

_TASK = "SLURM_ARRAY_TASK_"
_WHOLE = "or --shard none to train all runs in this task"


class Array(NamedTuple):
    """How the tasks are numbered of which each trains a part: part I is task first + step * I."""

    first: int
    step: int


@dataclasses.dataclass(frozen=True)
class Part:
    """Part I of N of a sweep.

    Attributes:
      index: I.
      count: N.
      array: the Slurm array whose tasks train a part each; None: the part was asked for.
    """

    index: int
    count: int
    array: Array | None = None


def part_of_task(out: Path | None, *, is_written: bool = True) -> Part | None:
    """The part that is this process's as a task of a Slurm array; None if it is no such task.

    The first submission says how many parts there are: its tasks. A later one, of some tasks only,
    goes on with the parts that it finds in `out`, where the first one has recorded its numbers.

    Args:
      out: where the parts come together.
      is_written: whether this process writes its part there; then there must be an `out`.

    Raises:
      ValueError: it cannot be known which part this is; the message says what to give instead.

    Examples:
      >>> part_of_task(None) is None  # outside of Slurm
      True
    """
    if f"{_TASK}ID" not in os.environ:
        return None
    if out is None and is_written:
        raise ValueError(
            "a task of a Slurm array trains a part of the sweep, which needs --out: that is where "
            f"the parts come together. Give --out, {_WHOLE}"
        )
    task, first, last = (_number(name) for name in ("ID", "MIN", "MAX"))
    step, tasks = max(1, _number("STEP")), _number("COUNT")
    counts, arrays = _siblings(out) if out else (set[int](), set[Array]())
    if len(counts) > 1:
        numbers = " and of ".join(str(count) for count in sorted(counts))
        raise ValueError(f"{out} holds parts of {numbers}, so give --shard I/N, {_WHOLE}")
    if out and arrays:
        return _resubmitted(task, counts.pop(), arrays, out)
    count = next(iter(counts), tasks)
    if count != tasks or (counts == set() and tasks == 1):
        reason = (
            f"{out} holds parts of {count}, and this array has {tasks}"
            if counts
            else "an array of one task does not say which part of a sweep it is"
        )
        raise ValueError(f"{reason}; give --shard I/N --resume auto, {_WHOLE}")
    if first + step * (tasks - 1) != last or (task - first) % step:
        raise ValueError(
            f"the {tasks} tasks of this Slurm array are not numbered evenly from {first} to "
            f"{last}, as those of --array=0-{tasks - 1} are; number them so, or give --shard I/N, "
            f"{_WHOLE}"
        )
    return Part((task - first) // step, tasks, Array(first, step))


def _resubmitted(task: int, count: int, arrays: set[Array], out: Path) -> Part:
    """The part of a task, numbered as when the parts in a folder were begun."""
    for array in arrays:
        index, rest = divmod(task - array.first, array.step)
        if len(arrays) == 1 and not rest and 0 <= index < count:
            return Part(index, count, array)
    tasks = " and ".join(
        f"{first} to {first + step * (count - 1)}" + (f" by {step}" if step > 1 else "")
        for first, step in sorted(arrays)
    )
    raise ValueError(
        f"{out} holds parts of {count}, begun by the tasks {tasks} of a Slurm array, and this is "
        f"task {task}; give --shard I/{count} --resume auto, another --out, {_WHOLE}"
    )


def _number(name: str) -> int:
    text = os.environ.get(f"{_TASK}{name}", "")
    if not text.isdecimal():
        raise ValueError(
            f"{_TASK}{name} is {text!r}, so this is no task of a Slurm array; give --shard I/N, "
            f"{_WHOLE}"
        )
    return int(text)


def _siblings(out: Path) -> tuple[set[int], set[Array]]:
    """Into how many parts those in a folder divide their sweep, and the arrays that began them."""
    counts, arrays = set(), set()
    for path in out.glob("shard-*-of-*"):
        if found := re.fullmatch(r"shard-\d+-of-(\d+)", path.name):
            counts.add(int(found[1]))
            try:
                recorded = json.loads((path / "config.json").read_text())
                arrays.add(Array(**recorded["slurm_array"]))
            # It is just being written, or damaged, or was not begun by an array.
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return counts, arrays
