"""The command line: what to run. No mathematics."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import jax
import tyro

# A core is a device of its own, so that runs side by side share nothing and wait for nobody.
# This has to be said before gymnax is imported, which makes arrays; a process that has some
# already keeps the devices it has. It does not concern accelerators.
with contextlib.suppress(RuntimeError):
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))

from jaxparl import validation
from jaxparl.config import Config, Rates
from jaxparl.envs import REGISTRY, Entry
from jaxparl.experiment import Job, Selection, load_principals, run
from jaxparl.records import RunFolder
from jaxparl.sweep import RunId, grid

_BAD_INPUT = 2
_INTERRUPTED = 130
_DIVERGED = 1


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `jaxparl train ENV ...`; bad input exits with 2 and one line, nothing written."""
    command, *rest = [*(sys.argv[1:] if argv is None else argv), "--help", ""][:-1]
    if command in ("-h", "--help") or (command == "train" and rest[0] in ("-h", "--help")):
        print(_overview())
        return
    if command != "train":
        _fail(f"unknown command {command!r}; there is: train")
    try:
        job = parse(rest[:-1])
        env = REGISTRY[job.environment].environment(job.settings)
        validator = None
        if job.selection.validate or job.selection.principal:
            validator = validation.make_validator(job.config, env)
        saved = None
        if validator and job.selection.principal:
            saved = load_principals(job, validator)
        runs = saved.runs if saved else selected_runs(job.selection)
        folder = RunFolder(job.selection.out or _new_folder(job))
    except (ValueError, OSError) as error:
        _fail(str(error))
    try:
        run(job, env, runs, saved, folder)
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_DIVERGED)
    except KeyboardInterrupt:
        print(f"\nstopped; the evaluations so far are in {folder.path}/metrics.csv")
        sys.exit(_INTERRUPTED)


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
    preset = _named_preset(options)
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


def selected_runs(selection: Selection) -> list[RunId]:
    """The runs of every game with every seed.

    Raises:
      ValueError: for a range that is not one.
    """
    return grid(_range("games", selection.games), _range("seeds", selection.seeds))


def _overview() -> str:
    lines = [
        "usage: train.py ENV [--preset NAME] [--options]      (or: jaxparl train ENV ...)",
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


def _named_preset(options: Sequence[str]) -> str:
    for index, option in enumerate(options):
        if option == "--preset" and index + 1 < len(options):
            return options[index + 1]
        if option.startswith("--preset="):
            return option.removeprefix("--preset=")
    return Selection.preset


def _replace(settings: Any, overrides: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(settings)}
    return dataclasses.replace(
        settings, **{name: value for name, value in overrides.items() if name in names}
    )


def _range(name: str, text: str) -> range:
    first, colon, last = text.partition(":")
    if not colon or not first.isdecimal() or not last.isdecimal() or int(first) >= int(last):
        raise ValueError(f"--{name} must be A:B with 0 <= A < B, not {text!r}; B is not included")
    return range(int(first), int(last))


def _new_folder(job: Job) -> Path:
    name = f"{job.environment}-{job.selection.preset}"
    taken = {path.name for path in Path("runs").glob(f"{name}*")}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
    return Path("runs") / f"{name}-{number}"


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(_BAD_INPUT)
