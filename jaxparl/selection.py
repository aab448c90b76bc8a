"""What to run, as a command line says it, and the runs that it means."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jaxparl import launch
from jaxparl.config import Config, Rates
from jaxparl.runs import RunId, grid, rates_of, shard

# Games and seeds are 32 bits, of which keys are made.
_MOST = 2**31


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which runs, how they lie on this machine, and where their results go.

    Attributes:
      preset: a named set of options for this game; options given beside it win.
      games: numbers of the games to draw, `A:B` without B; the same number is the same game.
      seeds: seeds of each game, `A:B` without B; every game is trained with every seed.
      sweep: rates to try, `NAME=VALUE,VALUE`, one or more; every combination is trained with every
        seed, in the same compiled program.
      shard: the part `I/N` of all runs that this process trains, in a folder of its own within
        --out; `jaxparl merge` joins them. A task of a Slurm array takes its part by itself.
      distributed: several processes, on one machine or many, train the sweep together and write to
        one --out, which all of them see. `auto` where Slurm, MPI or a TPU pod started them; else
        `HOST:PORT,I/N`, the address where the first process listens, and which of how many this
        is. Every process is given the same other options.
      lanes: runs of one device that are computed side by side. Bits are equal at equal lanes; by
        default 1 on a CPU, and elsewhere all of a device.
      validate: once trained, freeze the principals, and let black-box agents learn from scratch
        under their contracts and under baselines.
      principal: folder of an earlier run of the same game; train nothing, validate its principals.
      out: folder for the results, new or empty; by default a new one under runs/.
      resume: `auto` goes on with what the folder holds, if the same settings made it, and skips
        what is finished. Without --out it looks for such a folder under runs/.
      checkpoint_seconds: the least time between two checkpoints; by default they are as frequent as
        2% of the time allows.
    """

    preset: str = "quick"
    games: str = "0:2"
    seeds: str = "0:2"
    sweep: tuple[str, ...] = ()
    shard: str | None = None
    distributed: str | None = None
    lanes: int | None = None
    validate: bool = False
    principal: Path | None = None
    out: Path | None = None
    resume: Literal["never", "auto"] = "never"
    checkpoint_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.lanes is not None and self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {self.lanes}")
        if self.distributed is not None:
            launch.place(self.distributed)  # which checks it
        seconds = self.checkpoint_seconds
        if seconds is not None and not 0 <= seconds < math.inf:
            raise ValueError(f"checkpoint_seconds must be >= 0, not {seconds}")


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that one command line says.

    Attributes:
      environment: the name of the game.
      label: what one draw of it is called in a figure.
      settings: its sizes and rules.
      selection: which runs, and where their results go.
      config: how they learn.
    """

    environment: str
    label: str
    settings: Any
    selection: Selection
    config: Config


def all_runs(games: str, seeds: str, sweep: Sequence[str], rates: Rates) -> list[RunId]:
    """The runs of every game with every combination of rates and every seed.

    Args:
      games: see `Selection`, as are the next two.
      seeds: likewise.
      sweep: likewise.
      rates: those that all runs have in common.

    Raises:
      ValueError: for a range or a sweep that is not one.
    """
    swept = dict(_swept(text) for text in sweep)
    if len(swept) < len(sweep):
        raise ValueError("--sweep names a rate twice; give all its values at once")
    runs = grid(_range("games", games), _range("seeds", seeds), swept)
    try:
        rates_of(rates, runs)  # which checks them
    except ValueError as error:
        raise ValueError(f"--sweep: {error}") from error
    return runs


def own_runs(runs: list[RunId], part: tuple[int, int] | None) -> list[RunId]:
    """Those of them that part (I, N) trains.

    Raises:
      ValueError: there are fewer runs than parts.
    """
    if part is None:
        return runs
    index, count = part
    if count > len(runs):
        raise ValueError(f"--shard {index}/{count}: there are only {len(runs)} runs to share")
    return shard(runs, index, count)


def part(selection: Selection) -> tuple[int, int] | None:
    """Which part (I, N) of the runs is this process's: --shard, or its place in a Slurm array.

    Raises:
      ValueError: --shard is not a part.
    """
    text, said = selection.shard, "--shard"
    if text is None and "SLURM_ARRAY_TASK_COUNT" in os.environ:
        first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))
        step = max(1, int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1")))
        index = (int(os.environ["SLURM_ARRAY_TASK_ID"]) - first) // step
        text, said = f"{index}/{os.environ['SLURM_ARRAY_TASK_COUNT']}", "the Slurm array's part"
    if text is None:
        return None
    index_text, slash, count_text = text.partition("/")
    is_part = slash and index_text.isdecimal() and count_text.isdecimal()
    if not is_part or int(index_text) >= int(count_text):
        raise ValueError(f"{said} must be I/N with 0 <= I < N, not {text!r}")
    return int(index_text), int(count_text)


def _range(name: str, text: str) -> range:
    first, colon, last = text.partition(":")
    are_numbers = colon and first.isdecimal() and last.isdecimal()
    if not are_numbers or not int(first) < int(last) <= _MOST:
        raise ValueError(
            f"--{name} must be A:B with 0 <= A < B <= {_MOST}, not {text!r}; B is not included"
        )
    return range(int(first), int(last))


def _swept(text: str) -> tuple[str, list[float]]:
    name, equals, values = text.partition("=")
    name = name.replace("-", "_")
    known = [field.name for field in dataclasses.fields(Rates)]
    if not equals or name not in known:
        raise ValueError(
            f"--sweep must be NAME=VALUE,VALUE with a NAME of {', '.join(known)}; not {text!r}"
        )
    try:
        found = [float(value) for value in values.split(",")]
    except ValueError:
        raise ValueError(
            f"--sweep {name}: {values!r} are not numbers with commas between"
        ) from None
    if len(set(found)) < len(found):
        raise ValueError(f"--sweep {name}: a value is there twice in {values!r}")
    return name, found
