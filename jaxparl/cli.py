"""The command line: what to run. No mathematics."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro

from jaxparl import experiment, launch, report
from jaxparl.config import Config, Rates
from jaxparl.environment import Game
from jaxparl.envs import REGISTRY, Entry
from jaxparl.merge import merge
from jaxparl.phase import StoppedError
from jaxparl.plan import plan
from jaxparl.selection import Job, Selection, all_runs, own_runs, part
from jaxparl.validation import make_validator

_BAD_INPUT = 2
_FAILED = 1
# A process that a signal ended has 128 and its number, by the custom of shells.
_SIGNALLED = 128


@dataclasses.dataclass(frozen=True)
class Parts:
    """Which parts to join.

    Attributes:
      folder: the --out that they had; it holds folders shard-I-of-N.
      out: where the whole goes, new or empty; by default FOLDER/merged.
    """

    folder: tyro.conf.Positional[Path]
    out: Path | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `jaxparl COMMAND ...`; bad input exits with 2 and one line, nothing written."""
    command, *rest = [*(sys.argv[1:] if argv is None else argv), "--help", ""][:-1]
    commands = {"train": _train, "plan": _plan, "merge": _merge}
    wants_help = rest[:1] in (["-h"], ["--help"]) and command != "merge"
    if command in ("-h", "--help") or wants_help:
        print(_overview())
    elif command not in commands:
        _fail(f"unknown command {command!r}; there is: {', '.join(commands)}", _BAD_INPUT)
    else:
        commands[command](rest[:-1] or rest)


def _train(arguments: Sequence[str]) -> None:
    report.first_process_only()
    try:
        job = parse(arguments)
        prepared = experiment.prepare(job, REGISTRY[job.environment].environment(job.settings))
    except (ValueError, OSError) as error:
        _fail(str(error), _BAD_INPUT)
    try:
        with contextlib.closing(prepared.folder):
            experiment.run(prepared)
    except StoppedError as stopped:
        report.stopped(stopped.iteration, prepared.folder.path)
        sys.exit(_SIGNALLED + stopped.signal)
    except KeyboardInterrupt:
        report.broken_off(prepared.folder.path)
        sys.exit(_SIGNALLED + signal.SIGINT)
    except (FloatingPointError, OSError) as error:
        _fail(str(error), _FAILED)


def _plan(arguments: Sequence[str]) -> None:
    report.first_process_only()
    try:
        job = parse(arguments)
        chosen = job.selection
        env = REGISTRY[job.environment].environment(job.settings)
        every = all_runs(chosen.games, chosen.seeds, chosen.sweep, job.config.rates)
        runs = own_runs(every, part(chosen))
        if chosen.principal:
            raise ValueError("plan reads no --principal; --validate says what validation needs")
        if chosen.validate:
            _check_can_be_validated(job, env)
    except ValueError as error:
        _fail(str(error), _BAD_INPUT)
    report.plan(plan(job.config, env, runs, chosen.lanes, chosen.validate))


def _check_can_be_validated(job: Job, env: Game) -> None:
    try:
        make_validator(job.config, env)
    except ValueError as error:
        raise ValueError(f"--validate: {error}") from error


def _merge(arguments: Sequence[str]) -> None:
    chosen = tyro.cli(
        Parts,
        prog="jaxparl merge",
        description="Join the parts of a sweep that was trained with --shard.",
        args=arguments,
    )
    try:
        print(f"merged: {merge(chosen.folder, chosen.out)}")
    except (ValueError, OSError) as error:
        _fail(str(error), _BAD_INPUT)


def parse(argv: Sequence[str]) -> Job:
    """Reads `ENV [--options]`; the preset supplies the defaults of the other options.

    Raises:
      ValueError: for an unknown environment or preset, or a value out of range.
      SystemExit: with code 2 for an unknown option or a value of the wrong type.
    """
    name, *options = argv
    if name not in REGISTRY:
        raise ValueError(f"unknown environment {name!r}; there is: {', '.join(REGISTRY)}")
    entry = REGISTRY[name]
    preset = launch.option(options, "--preset")
    preset = Selection.preset if preset is None else preset
    if preset not in entry.presets:
        raise ValueError(f"{name} has no preset {preset!r}; it has: {', '.join(entry.presets)}")
    overrides = dict(entry.presets[preset], preset=preset)
    flat = tyro.conf.arg(name="")  # --depth rather than --settings.depth
    shape = dataclasses.make_dataclass(
        "Options",
        [
            ("selection", Annotated[Selection, flat]),
            ("settings", Annotated[entry.settings, flat]),
            ("config", Annotated[Config, flat]),
        ],
        frozen=True,
    )
    parsed: Any = tyro.cli(
        shape,
        prog=f"train.py {name}",
        description=f"Train on {entry.summary}.\n\n{_preset_list(entry)}",
        args=options,
        default=shape(
            _replace(Selection(), overrides),
            _replace(entry.settings(), overrides),
            dataclasses.replace(_replace(Config(), overrides), rates=_replace(Rates(), overrides)),
        ),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return Job(name, entry.label, parsed.settings, parsed.selection, parsed.config)


def _overview() -> str:
    lines = [
        "usage: train.py ENV [--preset NAME] [--options]      (or: jaxparl train ENV ...)",
        "       jaxparl plan ENV ...      what the same sweep would need: memory and time",
        "       jaxparl merge FOLDER      joins the parts of a sweep trained with --shard",
        "",
        "Trains a principal and its agents in lockstep on a game, holds what they learned",
        "against the exact equilibrium, and writes curves, a summary and a figure to runs/.",
        "",
        "environments and their presets:",
    ]
    for name, entry in REGISTRY.items():
        lines += [f"  {name:<12} {entry.summary}", *_preset_list(entry).splitlines()[1:]]
    lines += ["", "All options of a game: train.py ENV --help"]
    return "\n".join(lines)


def _preset_list(entry: Entry) -> str:
    lines = ["presets:"]
    for name, overrides in entry.presets.items():
        what = ", ".join(f"{key}={value}" for key, value in overrides.items())
        lines.append(f"    {name:<24} {what}")
    return "\n".join(lines)


def _replace(settings: Any, overrides: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(settings)}
    return dataclasses.replace(
        settings, **{name: value for name, value in overrides.items() if name in names}
    )


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
