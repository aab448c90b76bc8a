"""The options of the command line that every game has, beside those of how it is learned."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Literal

TrackerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Which runs, how they are shared among devices and processes, and where their results go.

    Attributes:
      preset: a named set of options for this game; options given beside it take precedence.
      config: the config.json of an earlier run, or its folder. Its game and its options are the
        defaults, in place of those of a preset, so that the same run is run again.
      games: the games to draw, by number, `A:B` without B; the same number is the same game.
      seeds: the seeds of each game, `A:B` without B; every game is trained with every seed.
      sweep: hyper-parameters or params of the game to try, one or more `NAME=VALUE,VALUE`; every
        combination is trained with every seed, in the same compiled program.
      shard: the part `I/N` of all runs that this process trains, in a folder of its own inside of
        what --out says; `jaxparl merge` joins the parts. A task of a Slurm array takes its part by
        itself, unless this says another one, or `none`.
      distributed: several processes, on one machine or many, train the sweep together and write to
        one --out, which all of them see. Say `auto` where Slurm, MPI or a TPU pod started them;
        otherwise `HOST:PORT,I/N`, the address where the first process listens, and which of how
        many this is. Every process is given the same other options.
      lanes: how many runs of one device are computed side by side. Bits are equal at equal lanes;
        by default 1 on a CPU, and elsewhere all runs of a device.
      validate: once trained, freeze the principals, and let black-box agents learn from scratch
        under their contracts and under baselines.
      principal: the folder of an earlier run of the same game; train nothing, and validate its
        principals.
      out: the folder for the results, new or empty; by default a new one under runs/.
      resume: `auto` resumes what the folder holds, if it was made with the same settings, and skips
        what is finished; with --out, more iterations, seeds, games or swept values go on from it.
        Without --out it looks for such a folder under runs/. `extend` does the same, and goes on to
        more iterations even where learning rates or other schedules had ended.
      checkpoint_seconds: the least time between two checkpoints; by default checkpoints take 2% of
        all time.
      log: a tracker that gets every metric of every run while it learns, beside the folder. Its
        package is an extra: pip install 'jaxparl[NAME]'.
    """

    preset: str = "quick"
    config: Path | None = None
    games: str = "0:2"
    seeds: str = "0:2"
    sweep: tuple[str, ...] = ()
    shard: str | None = None
    distributed: str | None = None
    lanes: int | None = None
    validate: bool = False
    principal: Path | None = None
    out: Path | None = None
    resume: Literal["never", "auto", "extend"] = "never"
    checkpoint_seconds: float | None = None
    log: TrackerName | None = None

    def __post_init__(self) -> None:
        if self.lanes is not None and self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {self.lanes}")
        if self.distributed is not None:
            parse_distributed(self.distributed)  # raises if it is invalid
        seconds = self.checkpoint_seconds
        if seconds is not None and not 0 <= seconds < math.inf:
            raise ValueError(f"checkpoint_seconds must be >= 0, not {seconds}")


def parse_distributed(text: str) -> tuple[str, int, int] | None:
    """The address, this process's index and their number from --distributed; None for `auto`.

    Raises:
      ValueError: the text is neither `auto` nor HOST:PORT,I/N.

    Examples:
      >>> parse_distributed("10.0.0.1:9911,0/2")
      ('10.0.0.1:9911', 0, 2)
    """
    if text == "auto":
        return None
    address, _, numbers = text.partition(",")
    index, _, count = numbers.partition("/")
    host, _, port = address.rpartition(":")
    is_valid = host and all(number.isdecimal() for number in (port, index, count))
    if not is_valid or int(index) >= int(count):
        raise ValueError(
            "distributed must be auto or HOST:PORT,I/N with 0 <= I < N, HOST:PORT being where "
            f"the first process listens, not {text!r}"
        )
    return address, int(index), int(count)
