"""Weights on disk, through orbax."""

from __future__ import annotations

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from jaxparl.run_state import Weights
from jaxparl.types import PyTree


def save_weights(path: Path, weights: Weights) -> None:
    """Writes the weights of all runs, `[R, ...]`, to a new folder; atomic."""
    with ocp.StandardCheckpointer() as checkpointer:
        # As NumPy arrays, which belong to no device: they can be read on any other machine.
        checkpointer.save(path.absolute(), jax.device_get(vars(weights)))


def load_weights(path: Path) -> Weights:
    """Reads what `save_weights` wrote; index the leading axis R to pick a run.

    Raises:
      FileNotFoundError: where there is no such checkpoint.
    """
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")
    with ocp.StandardCheckpointer() as checkpointer:
        restored: dict[str, PyTree] = checkpointer.restore(path.absolute())
    return Weights(**restored)
