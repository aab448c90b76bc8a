"""What a command line says: only this file and `folder_commands` import tyro.

A first pass finds the command, the game and the preset. A second one reads the options of that
game, whose defaults are those of the preset, or of an earlier run.
"""

from __future__ import annotations

import dataclasses
import difflib
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union

import tyro

from jaxparl.cli.defaults import defaults_of_earlier, defaults_of_preset
from jaxparl.cli.games import all_games, params_of
from jaxparl.config import Config
from jaxparl.environment import GameParams
from jaxparl.envs import Game, names
from jaxparl.experiment.options import Job, RunOptions, check_env_param
from jaxparl.experiment.rerun import read_earlier

HELP_FLAGS = ("-h", "--help")
# tyro joins lines, except for those that begin with a space.
_OVERVIEW = """\
Trains principals and agents, beside exact equilibria. Results go to runs/.
 Examples, where `python train.py` is the same as `jaxparl train`:
  jaxparl train game_tree             a first look at the paper's trees
  jaxparl train --help                all games
  jaxparl train game_tree --help      presets, such as figure3, and options
  jaxparl train ./my_game.py:MyGame   a game of your own
"""


@dataclasses.dataclass(frozen=True)
class Train:
    """What the first pass finds on a command line that trains."""

    env: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="ENV",
            help="a game, or a class, FILE.py:CLASS; ENV --help has its presets and options",
            help_behavior_hint="",
        ),
    ] = ()
    preset: Annotated[
        str,
        tyro.conf.arg(metavar="NAME", help="a set of options; those given beside it win"),
    ] = RunOptions.preset


@dataclasses.dataclass(frozen=True)
class Plan(Train):
    """The same on one that plans."""


@dataclasses.dataclass(frozen=True)
class Check(Train):
    """The same on one that checks."""


@dataclasses.dataclass(frozen=True)
class Merge:
    """The same on one that merges: nothing, all arguments are left for the second pass."""


@dataclasses.dataclass(frozen=True)
class Show:
    """The same on one that shows."""


@dataclasses.dataclass(frozen=True)
class Export:
    """The same on one that exports."""


@dataclasses.dataclass(frozen=True)
class _Help:
    """There is no command."""


# Of each command: what the first pass makes of it, and its line in the help.
COMMANDS: dict[str, tuple[type, str]] = {
    "train": (Train, "train principals and their agents on a game"),
    "plan": (Plan, "show what training would need: memory and time"),
    "check": (Check, "say what is wrong with a game, and what was checked"),
    "merge": (Merge, "join the parts of a sweep that was trained with --shard"),
    "show": (Show, "print and draw finished runs again, one or several together"),
    "export": (Export, "write finished runs as other tools read them"),
    "help": (_Help, "print this help; jaxparl --version prints the version"),
}


def parse(argv: Sequence[str], command: str = "train") -> Job:
    """Reads `ENV [--options]`; the preset supplies the defaults of the other options.

    Args:
      argv: what follows the command.
      command: `train`, `plan`, or `check`.

    Raises:
      ValueError: for an unknown game, preset or option, or a value out of range.
      SystemExit: with code 2 for a value of the wrong type, with code 0 after help.
    """
    # It says which game there is, before anything else is read.
    path, others = _without_option(argv, "--config")
    earlier = read_earlier(Path(path)) if path else None
    found, rest = first_pass([command, *others])
    asks_help = not rest or any(flag in rest for flag in HELP_FLAGS)
    if not found.env and not earlier and asks_help:
        _show_games(command)
    name, *more = found.env or ((earlier.door,) if earlier else ("",))
    if not name:
        raise ValueError(f"name a game before its options, one of: {', '.join(names())}")
    if earlier and _without_option(argv, "--preset")[0]:
        raise ValueError("--config and --preset both say what the defaults are; leave one out")
    if earlier:
        game, defaults = defaults_of_earlier(name, earlier, path)
    else:
        game, defaults = defaults_of_preset(name, found.preset)
    return _second_pass(command, game, defaults, [*rest, *more])


def _without_option(argv: Sequence[str], name: str) -> tuple[str, list[str]]:
    """The value of `--name VALUE` or `--name=VALUE`, empty if there is none, and all but these."""
    value, others, following = "", [], iter(argv)
    for token in following:
        if token == name:
            value = next(following, "")
            if not value:
                raise ValueError(f"{name} needs a value")
        elif token.startswith(f"{name}="):
            value = token.partition("=")[2]
        else:
            others.append(token)
    return value, others


def first_pass(arguments: Sequence[str], show_help: bool = False) -> tuple[Any, list[str]]:
    """The command, and the arguments that are not read yet."""
    commands = tuple(
        Annotated[kind, tyro.conf.subcommand(name, description=line)]
        for name, (kind, line) in COMMANDS.items()
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


def _second_pass(command: str, game: Game, defaults: Job, arguments: Sequence[str]) -> Job:
    """Reads the options of a game, given what is asked for where they say nothing."""
    name, entry, _ = game
    default_params, usual = params_of(game, defaults.settings)
    params = _params_class(default_params, usual)
    presets = {preset: described.summary for preset, described in entry.presets.items()}
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
    parsed: Any
    parsed, unknown = tyro.cli(
        shape,
        prog=f"jaxparl {command} {name}",
        description=f"{_capitalised(entry.summary)}. Presets:\n{_aligned(presets, '    ')}",
        args=arguments,
        default=shape(
            defaults.options, defaults.settings, params(**defaults.env_params), defaults.config
        ),
        config=(tyro.conf.OmitArgPrefixes,),
        return_unknown_args=True,
    )
    _check_principal(parsed.run, arguments)
    if unknown:
        raise ValueError(_describe_unknown(unknown, name, parsed))
    return dataclasses.replace(
        defaults,
        settings=parsed.game,
        options=parsed.run,
        config=parsed.training,
        env_params={
            key: value for key, value in vars(parsed.params).items() if value != usual[key]
        },
        known_params=tuple(usual),
    )


def _check_principal(options: RunOptions, arguments: Sequence[str]) -> None:
    """Refuses to choose runs, where those of an earlier folder are validated.

    Raises:
      ValueError: the arguments say which games, seeds or swept values.
    """
    for name in ("--games", "--seeds", "--sweep"):
        if options.principal and _without_option(arguments, name)[0]:
            raise ValueError(
                f"--principal validates every run that is in {options.principal}; leave out {name}"
            )


def _params_class(defaults: GameParams, numbers: Mapping[str, float]) -> type:
    """A dataclass of the `numbers` among the params of a game, with the help of their docstring."""

    def check(params: Any) -> None:
        for name, value in vars(params).items():
            check_env_param(name, value)

    fields = [(name, float, dataclasses.field(default=value)) for name, value in numbers.items()]
    # All of them are numbers, so the help need not say so.
    help_text = (type(defaults).__doc__ or "").replace("`[]`, ", "")
    documented = {"__doc__": help_text, "__post_init__": check}
    return dataclasses.make_dataclass("Params", fields, namespace=documented, frozen=True)


def _show_games(command: str) -> NoReturn:
    """Prints the games, and exits."""
    about = f"{_capitalised(COMMANDS[command][1])}. GAME --help has all options:"
    games = {name: entry.summary for name, entry in all_games()}
    tyro.cli(
        COMMANDS[command][0],
        prog=f"jaxparl {command}",
        description=f"{about}\n{_aligned(games, '  ')}",
        args=["--help"],
    )
    raise AssertionError("tyro exits after help")


def _aligned(described: Mapping[str, str], indent: str) -> str:
    """A line for each name, with what is said of it; in 80 columns."""
    width = len(indent) + max(map(len, described)) + 2
    lines = [
        textwrap.fill(f"{indent}{name}".ljust(width) + text, 80, subsequent_indent=" " * width)
        for name, text in described.items()
    ]
    return "\n".join(lines)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


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
