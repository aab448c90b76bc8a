"""What each command of `jaxparl` does, and how a process ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from jaxparl.cli import parsing
from jaxparl.cli.folder_commands import parse_exported, parse_parts, parse_shown
from jaxparl.cli.games import environment_of
from jaxparl.evaluation.checks import check_env, describe
from jaxparl.experiment import console
from jaxparl.experiment.export import export
from jaxparl.experiment.job import announce_part, check_lanes, check_validation, prepare
from jaxparl.experiment.merge import merge
from jaxparl.experiment.options import all_runs, own_part, own_runs
from jaxparl.experiment.run import run
from jaxparl.experiment.show import show
from jaxparl.experiment.stage import StoppedError
from jaxparl.experiment.streams import unbreakable
from jaxparl.training.plan import plan
from jaxparl.training.sweep import check_games

_BAD_INPUT = 2
_FAILED = 1
# By the custom of shells, a process that a signal has ended exits with 128 and its number.
_SIGNALLED = 128


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `jaxparl COMMAND ...`.

    Raises:
      SystemExit: with code 0 after help; with code 2 and one line for bad input, nothing written;
        with code 1 and one line for what fails later, or for each mistake of a game that is
        checked; with 128 + N after signal N.
    """
    with unbreakable():
        _run_command(list(sys.argv[1:] if argv is None else argv))


def _run_command(arguments: Sequence[str]) -> None:
    command, rest = parsing.first_pass(arguments)
    if isinstance(command, parsing.Merge):
        _merge(rest)
    elif isinstance(command, parsing.Show):
        _show(rest)
    elif isinstance(command, parsing.Export):
        _export(rest)
    elif isinstance(command, parsing.Plan):
        _plan(arguments[1:])
    elif isinstance(command, parsing.Check):
        _check(arguments[1:])
    elif isinstance(command, parsing.Train):
        _train(arguments[1:])
    elif rest and rest[0] not in parsing.HELP_FLAGS:
        names = ", ".join(parsing.COMMANDS)
        _fail(f"unknown command {rest[0]!r}; there is: {names}", _BAD_INPUT)
    else:
        parsing.first_pass(["--help"], show_help=True)


def _train(arguments: Sequence[str]) -> None:
    with _bad_input():
        job = parsing.parse(arguments)
        console.first_process_only()
        experiment = prepare(job, environment_of(job))
    path = experiment.path
    try:
        with contextlib.closing(experiment):
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
        job = parsing.parse(arguments, "plan")
        console.first_process_only()
        env = environment_of(job)
        part = own_part(job.options, is_written=False)
        runs = own_runs(all_runs(job), part)
        if job.options.principal:
            raise ValueError("plan reads no --principal; --validate says what validation needs")
        check_validation(job, env)
        check_lanes(job.options.lanes, len(runs))
        announce_part(part)
        check_games(env, runs)
    console.plan(plan(job.config, env, runs, job.options.lanes, job.options.validate))


def _check(arguments: Sequence[str]) -> None:
    with _bad_input():
        job = parsing.parse(arguments, "check")
        env = environment_of(job)
        env_params = env.default_params.replace(**job.env_params)
    complaints = check_env(env, env_params)
    if complaints:
        print(*complaints, sep="\n")
        sys.exit(_FAILED)
    print(f"nothing is wrong with {describe(env, env_params)}")


def _merge(arguments: Sequence[str]) -> None:
    parts = parse_parts(arguments)
    with _bad_input():
        console.merged(merge(parts.folder, parts.out))


def _show(arguments: Sequence[str]) -> None:
    with _bad_input():
        shown = parse_shown(arguments)
        show(shown.folders, shown.out, shown.html)


def _export(arguments: Sequence[str]) -> None:
    with _bad_input():
        asked = parse_exported(arguments)
        export(asked.folders, csv_file=asked.csv, marl_eval=asked.marl_eval)


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
