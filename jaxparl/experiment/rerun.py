"""What an earlier run was asked for, read from its config.json, to be asked for again."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jaxparl.config import Config
from jaxparl.experiment import console, provenance, run_folder
from jaxparl.experiment.options import Job, RunOptions

_Settings = TypeVar("_Settings")

# Which runs, and what happens to them; but for how they were shared and where they went.
_RECORDED = ("preset", "games", "seeds", "sweep", "lanes", "validate", "principal")


class Earlier(NamedTuple):
    """What an earlier run was asked for.

    Attributes:
      environment: the name of its game.
      settings: its sizes and rules, as config.json has them; see `restore`.
      options: which runs there were.
      config: how they learned.
      env_params: numbers among the params of the game that were not its defaults.
      door: what finds the game.
    """

    environment: str
    settings: Mapping[str, Any]
    options: RunOptions
    config: Config
    env_params: dict[str, float]
    door: str


def recorded_options(job: Job) -> dict[str, Any]:
    """What config.json says about what was asked for, beside settings and config."""
    options = {name: getattr(job.options, name) for name in _RECORDED}
    principal = options["principal"]
    return {
        **options,
        "principal": str(principal) if principal else None,
        "env_params": dict(job.env_params),
    }


def read_earlier(path: Path) -> Earlier:
    """Reads what a run was asked for.

    Args:
      path: its config.json, or its folder.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is damaged, or of another version of jaxparl.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    folder = path if path.is_dir() else path.parent
    recorded = run_folder.read_config(
        folder, path.name if path.suffix == ".json" else "config.json"
    )
    remedy = "give its options by hand, or run it with that version"
    provenance.check_format(recorded, path, "rerun", remedy=remedy)
    if recorded.get("components"):
        names = ", ".join(recorded["components"].values())
        raise ValueError(f"{path} was run from Python with {names}, and is run again from there")
    if recorded.get("extended_after"):
        console.warn(
            f"the run in {folder} went on when its schedules had ended; this one has the schedules "
            "of all its iterations from the beginning, and other bits"
        )
    try:
        options = dict(recorded["options"])
        env_params = {name: float(value) for name, value in options.pop("env_params").items()}
        principal = options.pop("principal")
        asked = restore(RunOptions, options)
        return Earlier(
            environment=recorded["environment"],
            settings=recorded["settings"],
            options=dataclasses.replace(asked, principal=Path(principal) if principal else None),
            config=restore(Config, recorded["config"]),
            env_params=env_params,
            door=door_of(recorded),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it lacks {error}") from error


def door_of(recorded: Mapping[str, Any]) -> str:
    """What finds the game of a run, given the content of its config.json."""
    source = recorded.get("source")
    return str(source["door"] if source else recorded["environment"])


def restore(kind: type[_Settings], content: Mapping[str, Any]) -> _Settings:
    """A dataclass of settings as it was before it was written to JSON, which has no tuples.

    Raises:
      TypeError: there is a setting of another name.
      ValueError: a setting is out of its range.

    Examples:
      >>> restore(Config, {"iterations": 400, "hidden_sizes": [16, 16]}).hidden_sizes
      (16, 16)
    """
    kinds = typing.get_type_hints(kind)
    return kind(**{name: _restore(kinds.get(name), value) for name, value in content.items()})


def _restore(kind: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_restore(None, each) for each in value)
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        return restore(typing.cast(type, kind), value)
    return value
