"""Where a result comes from: versions, machine and settings, and how two of them differ."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

import jax

from jaxparl import startup

#: What config.json of this version looks like; it is raised whenever a run of an earlier version
#: can no longer be resumed.
FORMAT = 2

_PACKAGES = ("jaxparl", "jax", "jaxlib", "flax", "optax", "gymnax", "orbax-checkpoint", "numpy")
_LONGEST_VALUE = 40


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """The machine that a timing depends on."""
    return {
        "processor": startup.processor(),
        "cores": startup.cores(),
        "devices": sorted({device.device_kind for device in jax.devices()}),
    }


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings as they are read back from JSON: tuples are lists."""
    content: dict[str, Any] = json.loads(json.dumps(settings))
    return content


def differences(here: Any, there: Any, name: str = "") -> list[str]:
    """Describes where two settings, as JSON has them, differ.

    Args:
      here: what is asked for.
      there: what it is compared with, which was recorded earlier.
      name: what both are called; empty at the top.

    Examples:
      >>> differences({"config": {"nudge": 0.02}}, {"config": {"nudge": 0.0}})
      ['config.nudge was 0.0, not 0.02']
    """
    if isinstance(here, dict) and isinstance(there, dict):
        keys = dict.fromkeys([*here, *there])
        inner = [
            differences(here.get(key), there.get(key), f"{name}.{key}" if name else key)
            for key in keys
        ]
        return [line for lines in inner for line in lines]
    if isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        inner = [
            differences(*pair, f"{name}[{number}]")
            for number, pair in enumerate(zip(here, there, strict=True))
        ]
        # The first element that differs stands for all of them.
        return next(filter(None, inner), [])
    return [] if here == there else [f"{name} was {_short(there)}, not {_short(here)}"]


def check_format(
    recorded: Mapping[str, Any], path: os.PathLike[str], action: str, *, remedy: str
) -> None:
    """Refuses the run in a folder if another version of jaxparl recorded it in another format.

    Args:
      recorded: the content of its config.json.
      path: the folder.
      action: what cannot be done with it, `resume` or `merge`.
      remedy: what to do instead.

    Raises:
      ValueError: the message names the version that wrote the folder, and the remedy.
    """
    if recorded.get("format") == FORMAT:
        return
    found = recorded.get("versions")
    writer = found.get("jaxparl") if isinstance(found, dict) else None
    raise ValueError(
        f"{path} was written by jaxparl {writer or 'of an unknown version'}, and jaxparl "
        f"{versions()['jaxparl']} cannot {action} it; {remedy}"
    )


def _short(value: Any) -> str:
    text = f"{len(value)} of them" if isinstance(value, list) else json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."
