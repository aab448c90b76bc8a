"""What a command line asks for, and the runs that it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxparl.config import Config
from jaxparl.environment import GameParams
from jaxparl.experiment.metrics_table import RECORDED
from jaxparl.experiment.slurm import Part, part_of_task
from jaxparl.learning.components import STANDARD, Components
from jaxparl.run_options import RunOptions as RunOptions
from jaxparl.training.runs import HYPER_PARAMS, RunId, grid, hyper_params_of, shard

# What tells runs apart, beside their own values.
_LABELS = ("game", "seed", "scheme", "iteration")
# Games and seeds are folded into keys, which takes 32 bits.
_MOST = 2**31


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that one command line says.

    Attributes:
      environment: the name of the game.
      label: what one draw of it is called in a figure.
      settings: its sizes and rules.
      options: which runs, and where their results go.
      config: how they learn.
      env_params: the numbers among the params of the game, as far as they are not its defaults.
      known_params: the names of all of them.
      components: what of the learner is made elsewhere.
      source: where the code of the game is, if it does not come with jaxparl: the `door` by which
        it is found, its `file`, and the `sha256` of that.
    """

    environment: str
    label: str
    settings: Any
    options: RunOptions
    config: Config
    env_params: Mapping[str, float] = dataclasses.field(default_factory=dict)
    known_params: tuple[str, ...] = ()
    components: Components = STANDARD
    source: Mapping[str, str] | None = None

    @property
    def door(self) -> str:
        """What finds the game, from any directory."""
        return self.source["door"] if self.source else self.environment


def all_runs(job: Job) -> list[RunId]:
    """The runs of every game with every combination of swept values and every seed.

    Raises:
      ValueError: a range or a sweep is invalid.

    Examples:
      >>> options = RunOptions(games="0:1", sweep=("nudge=0.0,0.02",))
      >>> all_runs(Job("game_tree", "tree", None, options, Config()))[-1]
      RunId(game_id=0, seed=1, own=(('nudge', 0.02),))
    """
    options = job.options
    swept = dict(parse_sweep(text, job.known_params) for text in options.sweep)
    if len(swept) < len(options.sweep):
        raise ValueError("--sweep has a name twice; give all its values at once")
    game_ids, seeds = parse_range("games", options.games), parse_range("seeds", options.seeds)
    for name in swept.keys() & job.env_params.keys():
        raise ValueError(
            f"--sweep {name} says which values to try; leave out --{name}".replace("_", "-")
        )
    own = {name: [value] for name, value in job.env_params.items()} | swept
    for name in own:
        if name in RECORDED or name in _LABELS:
            # There would be two columns of that name, one of labels and one of results.
            raise ValueError(
                f"a param of the game is called {name}, as a column of the results is; with "
                "another name it can be set and swept"
            )
    runs = grid(game_ids, seeds, own)
    try:
        hyper_params_of(job.config.hyper_params, runs)  # raises if a value is out of its range
        for name, values in swept.items():
            if name in job.known_params:
                for value in values:
                    check_env_param(name, value)
    except ValueError as error:
        raise ValueError(f"--sweep: {error}") from error
    return runs


def numbers_of(env_params: GameParams) -> dict[str, float]:
    """The numbers among the params of a game, by name: those that a command line can change.

    They are numbers, or arrays of one. The time limit is not among them: where it can be chosen, it
    is a setting.

    Examples:
      >>> numbers_of(GameParams(discount=0.9))
      {'discount': 0.9}
    """
    found = {
        field.name: getattr(env_params, field.name) for field in dataclasses.fields(env_params)
    }
    del found["max_steps_in_episode"]
    # By its text: 0.1 in float32 is that, and not 0.10000000149.
    return {name: float(str(value)) for name, value in found.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array)
    return is_array and value.shape == () and bool(np.issubdtype(value.dtype, np.floating))


def check_env_param(name: str, value: float) -> None:
    """Checks a number among the params of a game.

    Raises:
      ValueError: float32 cannot hold it, or a discount is not between 0 and 1.
    """
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise ValueError(f"{name} must be a number that float32 can hold, not {value}")
    if name == "discount" and not 0 <= value <= 1:
        raise ValueError(f"discount must be between 0 and 1, not {value}")


def own_runs(runs: list[RunId], part: Part | None) -> list[RunId]:
    """Those of the `runs` that a part trains; all of them where there is no part.

    Raises:
      ValueError: there are fewer runs than parts.
    """
    if part is None:
        return runs
    if part.count > len(runs):
        those = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        if part.array is None:
            raise ValueError(f"--shard {part.index}/{part.count}: there are only {those} to share")
        raise ValueError(
            f"the Slurm array has {part.count} tasks, and only {those} to share among them; where "
            "each task has its own --seeds or --games, give --shard none"
        )
    return shard(runs, part.index, part.count)


def own_part(options: RunOptions, *, is_written: bool = True) -> Part | None:
    """Which part of the runs is this process's: --shard, or that of its task in a Slurm array.

    Args:
      options: those of the command line.
      is_written: whether the part is trained and written, or only planned.

    Raises:
      ValueError: --shard is invalid, or the array does not say which part this is.
    """
    if options.shard is None:
        return part_of_task(options.out, is_written=is_written)
    return None if options.shard == "none" else parse_part(options.shard)


def parse_part(text: str) -> Part:
    """The part that --shard `I/N` means.

    Raises:
      ValueError: it is not a part.

    Examples:
      >>> parse_part("0/4")
      Part(index=0, count=4, array=None)
    """
    index, slash, count = text.partition("/")
    is_valid = slash and index.isdecimal() and count.isdecimal()
    if not is_valid or int(index) >= int(count):
        raise ValueError(f"--shard must be I/N with 0 <= I < N, or none; not {text!r}")
    return Part(int(index), int(count))


def parse_range(name: str, text: str) -> range:
    """The numbers that `A:B` means, those of --`name`.

    Raises:
      ValueError: it is not a range, or an empty one.

    Examples:
      >>> list(parse_range("seeds", "0:3"))
      [0, 1, 2]
    """
    first, colon, last = text.partition(":")
    is_valid = colon and first.isdecimal() and last.isdecimal()
    if not is_valid or not int(first) < int(last) <= _MOST:
        raise ValueError(
            f"--{name} must be A:B with 0 <= A < B <= {_MOST}, not {text!r}; B is not included"
        )
    return range(int(first), int(last))


def _number(name: str, value: str) -> float:
    """One of the values that are swept."""
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            f"--sweep {name}: {value!r} is not a number; give numbers separated by commas, without "
            f"spaces, as in {name}=0.0,0.5"
        ) from None


def parse_sweep(text: str, known_params: Sequence[str] = ()) -> tuple[str, list[float]]:
    """The name and the values that `NAME=VALUE,VALUE` means.

    Args:
      text: of a hyper-parameter, or of one of the `known_params` of the game.
      known_params: their names.

    Raises:
      ValueError: the name is unknown, or the values are not numbers, or one is there twice.

    Examples:
      >>> parse_sweep("nudge=0.0,0.02")
      ('nudge', [0.0, 0.02])
    """
    name, equals, values = text.partition("=")
    name = name.replace("-", "_")
    known = (*HYPER_PARAMS, *known_params)
    if not equals or name not in known:
        raise ValueError(
            f"--sweep must be NAME=VALUE,VALUE with a NAME of {', '.join(known)}; not {text!r}"
        )
    found = [_number(name, value) for value in values.split(",")]
    with np.errstate(over="ignore"):
        rounded = {np.float32(value) for value in found}
    if len(rounded) < len(found):
        raise ValueError(f"--sweep {name}: a value is there twice in {values!r}, as float32 has it")
    return name, found
