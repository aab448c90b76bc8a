"""The command line: `jaxparl train`, `plan` and `merge`. The only file that imports tyro.

A first pass finds the command, the game and the preset. A second one reads the options of that
game, whose defaults are those of the preset.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union

import tyro

from jaxparl.config import Config
from jaxparl.environment import GameParams
from jaxparl.envs import REGISTRY, Entry
from jaxparl.experiment import console
from jaxparl.experiment.job import announce_part, check_lanes, check_validation, prepare
from jaxparl.experiment.merge import merge
from jaxparl.experiment.options import (
    Job,
    RunOptions,
    all_runs,
    check_env_param,
    numbers_of,
    own_part,
    own_runs,
)
from jaxparl.experiment.run import run
from jaxparl.experiment.stage import StoppedError
from jaxparl.experiment.streams import unbreakable
from jaxparl.training.plan import plan
from jaxparl.training.sweep import check_games

_BAD_INPUT = 2
_FAILED = 1
# By the custom of shells, a process that a signal has ended exits with 128 and its number.
_SIGNALLED = 128

_HELP_FLAGS = ("-h", "--help")
# tyro joins lines, except for those that begin with a space.
_OVERVIEW = """\
Trains a principal and its agents in lockstep on a game, and compares what they
 have learned with the exact equilibrium. Curves, a summary and a figure go to a
 folder under runs/.

Examples, where `python train.py` is the same as `jaxparl train`:
  jaxparl train game_tree                    a first look at the paper's trees
  jaxparl train game_tree --preset figure3   as in Figure 3
  jaxparl train --help                       all games and their presets
  jaxparl train game_tree --help             all options of a game
"""


@dataclasses.dataclass(frozen=True)
class _Train:
    """What the first pass finds on a command line that trains."""

    env: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="ENV",
            help="a game; ENV --help shows all of its options",
            help_behavior_hint="",
        ),
    ] = ()
    preset: Annotated[
        str,
        tyro.conf.arg(metavar="NAME", help="a set of options; those given beside it win"),
    ] = RunOptions.preset


@dataclasses.dataclass(frozen=True)
class _Plan(_Train):
    """The same on one that plans."""


@dataclasses.dataclass(frozen=True)
class _Merge:
    """The same on one that merges: nothing, all arguments are left for the second pass."""


@dataclasses.dataclass(frozen=True)
class _Help:
    """There is no command."""


# Of each command: what the first pass makes of it, and its line in the help.
_COMMANDS = {
    "train": (_Train, "train principals and their agents on a game"),
    "plan": (_Plan, "show what training would need: memory and time"),
    "merge": (_Merge, "join the parts of a sweep that was trained with --shard"),
    "help": (_Help, "print this help"),
}


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Which parts to join.

    Attributes:
      folder: the --out that they had; it holds folders shard-I-of-N.
      out: where the whole goes, new or empty; by default FOLDER/merged.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    out: Path | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `jaxparl COMMAND ...`.

    Raises:
      SystemExit: with code 0 after help; with code 2 and one line for bad input, nothing written;
        with code 1 and one line for what fails later; with 128 + N after signal N.
    """
    with unbreakable():
        _run_command(list(sys.argv[1:] if argv is None else argv))


def _run_command(arguments: Sequence[str]) -> None:
    command, rest = _first_pass(arguments)
    if isinstance(command, _Merge):
        _merge(rest)
    elif isinstance(command, _Plan):
        _plan(arguments[1:])
    elif isinstance(command, _Train):
        _train(arguments[1:])
    elif rest and rest[0] not in _HELP_FLAGS:
        names = ", ".join(_COMMANDS)
        _fail(f"unknown command {rest[0]!r}; there is: {names}", _BAD_INPUT)
    else:
        _first_pass(["--help"], show_help=True)


def parse(argv: Sequence[str], command: str = "train") -> Job:
    """Reads `ENV [--options]`; the preset supplies the defaults of the other options.

    Args:
      argv: what follows the command.
      command: `train`, or `plan`.

    Raises:
      ValueError: for an unknown game, preset or option, or a value out of range.
      SystemExit: with code 2 for a value of the wrong type, with code 0 after help.
    """
    found, rest = _first_pass([command, *argv])
    if not found.env and (not rest or any(flag in rest for flag in _HELP_FLAGS)):
        _show_games(command)
    if not found.env:
        raise ValueError(f"name a game before its options, one of: {', '.join(REGISTRY)}")
    name, *more = found.env
    if name not in REGISTRY:
        raise ValueError(f"unknown environment {name!r}; there is: {', '.join(REGISTRY)}")
    entry = REGISTRY[name]
    if found.preset not in entry.presets:
        presets = ", ".join(entry.presets)
        raise ValueError(f"{name} has no preset {found.preset!r}; it has: {presets}")
    return _second_pass(command, name, found.preset, [*rest, *more])


def _first_pass(arguments: Sequence[str], show_help: bool = False) -> tuple[Any, list[str]]:
    """The command, and the arguments that are not read yet."""
    commands = tuple(
        Annotated[kind, tyro.conf.subcommand(name, description=line)]
        for name, (kind, line) in _COMMANDS.items()
    )
    found: tuple[Any, list[str]] = tyro.cli(
        Union[commands],  # type: ignore[arg-type]  # noqa: UP007
        default=_Help(),
        prog="jaxparl",
        description=_OVERVIEW,
        args=arguments,
        return_unknown_args=True,
        add_help=show_help,
    )
    return found


def _second_pass(command: str, name: str, preset_name: str, arguments: Sequence[str]) -> Job:
    """Reads the options of a game."""
    entry = REGISTRY[name]
    preset = entry.presets[preset_name]
    defaults = entry.environment(preset.settings).default_params
    params = _params_class(defaults)
    shape = dataclasses.make_dataclass(
        "Options",
        [
            ("run", RunOptions),
            ("game", entry.settings),
            ("params", params),
            ("training", Config),
        ],
        frozen=True,
    )
    options = RunOptions(
        preset=preset_name, games=preset.games, seeds=preset.seeds, validate=preset.validate
    )
    parsed: Any
    parsed, unknown = tyro.cli(
        shape,
        prog=f"jaxparl {command} {name}",
        description=f"{_capitalised(entry.summary)}. Presets:\n{_preset_lines(entry)}",
        args=arguments,
        default=shape(options, preset.settings, params(), preset.config),
        config=(tyro.conf.OmitArgPrefixes,),
        return_unknown_args=True,
    )
    if unknown:
        raise ValueError(_describe_unknown(unknown, name, parsed))
    usual, asked = vars(params()), vars(parsed.params)
    return Job(
        environment=name,
        label=entry.label,
        settings=parsed.game,
        options=parsed.run,
        config=parsed.training,
        env_params={key: value for key, value in asked.items() if value != usual[key]},
        known_params=tuple(usual),
    )


def _params_class(defaults: GameParams) -> type:
    """A dataclass of the numbers among the params of a game, with the help of their docstring."""

    def check(params: Any) -> None:
        for name, value in vars(params).items():
            check_env_param(name, value)

    fields = [
        (name, float, dataclasses.field(default=value))
        for name, value in numbers_of(defaults).items()
    ]
    # All of them are numbers, so the help need not say so.
    help_text = (type(defaults).__doc__ or "").replace("`[]`, ", "")
    documented = {"__doc__": help_text, "__post_init__": check}
    return dataclasses.make_dataclass("Params", fields, namespace=documented, frozen=True)


def _show_games(command: str) -> NoReturn:
    """Prints the games and their presets, and exits."""
    lines = [f"{_capitalised(_COMMANDS[command][1])}. Games and their presets:"]
    for name, entry in REGISTRY.items():
        lines += [_fill(f"  {name}: {entry.summary}", indent=4), _preset_lines(entry)]
    tyro.cli(
        _COMMANDS[command][0],
        prog=f"jaxparl {command}",
        description="\n".join(lines),
        args=["--help"],
    )
    raise AssertionError("tyro exits after help")


def _preset_lines(entry: Entry) -> str:
    width = 4 + max(map(len, entry.presets)) + 2
    lines = [
        _fill(f"    {name}".ljust(width) + preset.summary, indent=width)
        for name, preset in entry.presets.items()
    ]
    return "\n".join(lines)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fill(text: str, *, indent: int) -> str:
    """The same in lines of 80 columns, all but the first one indented."""
    return textwrap.fill(text, 80, subsequent_indent=" " * indent)


def _describe_unknown(unknown: Sequence[str], game: str, parsed: Any) -> str:
    """One line about arguments that are `unknown`, with all options that there are."""
    token = next((token for token in unknown if token.startswith("-")), None)
    if token is None:
        return f"unexpected argument {unknown[0]!r}; options are written --NAME VALUE"
    groups = (parsed.run, parsed.game, parsed.params, parsed.training)
    groups = (*groups, parsed.training.hyper_params)
    names = [field.name for group in groups for field in dataclasses.fields(group)]
    known = [f"--{name.replace('_', '-')}" for name in names if name != "hyper_params"]
    option = token.partition("=")[0]
    close = difflib.get_close_matches(option, known, n=1, cutoff=0.75)
    hint = f"did you mean {close[0]}? It has" if close else "it has"
    return f"{game} has no option {option}; {hint}: {', '.join(known)}"


def _train(arguments: Sequence[str]) -> None:
    with _bad_input():
        job = parse(arguments)
        console.first_process_only()
        experiment = prepare(job, REGISTRY[job.environment].environment(job.settings))
    path = experiment.folder.path
    try:
        with contextlib.closing(experiment.folder):
            run(experiment)
    except StoppedError as stopped:
        console.stopped(stopped.iteration, path)
        sys.exit(_SIGNALLED + stopped.signal)
    except KeyboardInterrupt:
        console.interrupted(path)
        sys.exit(_SIGNALLED + signal.SIGINT)
    except (FloatingPointError, OSError) as error:
        _fail(str(error), _FAILED)


def _plan(arguments: Sequence[str]) -> None:
    with _bad_input():
        job = parse(arguments, "plan")
        console.first_process_only()
        env = REGISTRY[job.environment].environment(job.settings)
        part = own_part(job.options)
        runs = own_runs(all_runs(job), part)
        if job.options.principal:
            raise ValueError("plan reads no --principal; --validate says what validation needs")
        check_validation(job, env)
        check_lanes(job.options.lanes, len(runs))
        announce_part(part)
        check_games(env, runs)
    console.plan(plan(job.config, env, runs, job.options.lanes, job.options.validate))


def _merge(arguments: Sequence[str]) -> None:
    parts = tyro.cli(
        _Parts,
        prog="jaxparl merge",
        description="Joins the parts of a sweep that was trained with --shard into one folder.",
        args=arguments,
    )
    with _bad_input():
        console.merged(merge(parts.folder, parts.out))


@contextlib.contextmanager
def _bad_input() -> Iterator[None]:
    """Ends the process with one line where what it was given makes no sense."""
    try:
        yield
    except (ValueError, OSError) as error:
        _fail(str(error), _BAD_INPUT)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
