"""Where a result comes from: settings, versions and machine, and how two of them differ.

Together they decide every bit of it. One rule says what may go together, when a run is resumed and
when parts of a sweep are merged:

- settings must be the same: those of the job, and of the process that computes it (`numerics`).
  Where one differs, it is refused, and the message names the setting;
- versions and machine may differ (`changed_origin`), the source of a game of one's own among them:
  then a warning names them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

import jax

from jaxparl import startup
from jaxparl.types import KEY_IMPL

#: What config.json of this version looks like; it is raised whenever a run of an earlier version
#: can no longer be resumed.
FORMAT = 3

_PACKAGES = ("jaxparl", "jax", "jaxlib", "flax", "optax", "gymnax", "orbax-checkpoint", "numpy")
_LONGEST_VALUE = 40
# Of JAX's settings, those that change bits.
_JAX_SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_disable_most_optimizations",
)
# What libraries below JAX read: how XLA splits sums, and what NVIDIA's do with float32.
_VARIABLES = ("NPROC", "NVIDIA_TF32_OVERRIDE")
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
# Flags that change no bit of a run: on how many devices it is computed, and what XLA dumps.
_HARMLESS_FLAGS = ("--xla_force_host_platform_device_count", "--xla_dump")


def numerics() -> dict[str, Any]:
    """The settings of this process, besides those of a job, that decide which bits it computes.

    They are named as they are set: options of JAX, environment variables, flags.

    Examples:
      >>> found = numerics()
      >>> found["key_impl"], "jax_enable_x64" in found
      ('threefry2x32', True)
    """
    return {
        "platform": jax.default_backend(),
        "key_impl": KEY_IMPL,
        **{name: jax.config.values[name] for name in _JAX_SETTINGS},
        **{name: os.environ.get(name) for name in _VARIABLES},
        **{name: _flags(os.environ.get(name, "")) for name in _FLAGS},
    }


def _flags(text: str) -> dict[str, str]:
    """The value of every flag that may change bits."""
    pairs = [flag.partition("=") for flag in text.split()]
    return {name: value for name, _, value in pairs if not name.startswith(_HARMLESS_FLAGS)}


def origin() -> dict[str, Any]:
    """What config.json says, beside settings, about where a result comes from."""
    return {"versions": versions(), "machine": machine()}


def changed_origin(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Which versions differ, and what of the machine that bits depend on.

    Args:
      here: what `origin` says now, and the source of the game; or the content of a config.json.
      there: the content of another one, which was recorded earlier.

    Examples:
      >>> there = origin()
      >>> there["versions"]["jax"] = "0.6.0"
      >>> [change] = changed_origin(origin(), there)
      >>> change.startswith('versions.jax was "0.6.0", not ')
      True
    """
    source = changed_source(here.get("source"), there.get("source"))
    return [*differences(_that_bits_depend_on(here), _that_bits_depend_on(there)), *source]


def _that_bits_depend_on(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of an origin, the versions and what computes; on a CPU, sums are split by its threads."""
    recorded = found.get("machine")
    machine = recorded if isinstance(recorded, dict) else {}
    devices = machine.get("devices")
    names = ["processor", "threads"] if devices == ["cpu"] else []
    computes = {"devices": devices, **{name: machine.get(name) for name in names}}
    return {"versions": found.get("versions"), "machine": computes}


def changed_source(here: Any, there: Any) -> list[str]:
    """The file of a game, if it is not what it was; what it imports, and where it is, do not count.

    Games that come with jaxparl have no source of their own: they have its version.

    Examples:
      >>> here = {"file": "/home/me/my_game.py", "sha256": "9f3c"}
      >>> changed_source(here, {"file": "/home/me/my_game.py", "sha256": "52d1"})
      ['/home/me/my_game.py has changed']
    """
    if not here or not there or here["sha256"] == there["sha256"]:
        return []
    return [f"{here['file']} has changed"]


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """The machine that a timing depends on, and most of it also the last bits."""
    return {
        "processor": startup.processor(),
        "cores": startup.cores(),
        "threads": startup.threads(),
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
