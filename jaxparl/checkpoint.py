"""What a run is resumed from, and what it has learned, on disk through orbax."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxparl.processes import by_first
from jaxparl.run_state import Weights
from jaxparl.types import PyTree

# The newest, and the one before it in case the newest is damaged.
_KEPT = 2
_STATE, _ABOUT = "state", "about"
# Bytes; of a small state all leaves are written at once.
_LEAST_IN_WRITING = 64_000_000
# orbax warns of what is meant here: arrays are read back as NumPy's, whatever device wrote them.
logging.getLogger("absl").setLevel(logging.ERROR)


class DamagedCheckpointError(OSError):
    """A checkpoint that is not what was written."""


class Snapshot(NamedTuple):
    """Where a sweep stands between two chunks.

    Attributes:
      chunk: chunks done.
      seconds: spent in them.
      curves: `[R, chunk]`, every evaluation so far.
      state: everything that changes, arrays `[rows, ...]`; typed keys as numbers.
    """

    chunk: int
    seconds: float
    curves: dict[str, np.ndarray]
    state: PyTree


class Checkpoints:
    """The snapshots of one sweep in a folder of their own: each whole or not there at all.

    A new one is written beside those before it, and takes its name when it is complete.

    Args:
      path: the folder; made if need be.
      shapes: those of the states, `[rows, ...]`.
    """

    def __init__(self, path: Path, shapes: PyTree):
        self.path: Path = path.absolute()
        self._manager = ocp.CheckpointManager(
            self.path,
            item_handlers={
                _STATE: ocp.PyTreeCheckpointHandler(
                    handler_impl=ocp.BasePyTreeCheckpointHandler(
                        save_concurrent_bytes=_in_writing(shapes)
                    )
                ),
                _ABOUT: ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT,
                enable_async_checkpointing=False,
                cleanup_tmp_directories=True,
            ),
        )

    def save(self, snapshot: Snapshot) -> None:
        """Writes a snapshot; the oldest goes when there are more than two.

        Raises:
          OSError: it could not be written; those before it are as they were.
        """
        leaves = _named(snapshot.state)
        about = {
            "seconds": snapshot.seconds,
            "leaves": [jax.tree_util.keystr(path) for path, _ in _with_paths(snapshot.state)],
            "curves": list(snapshot.curves),
            "fingerprints": fingerprints(snapshot.state),
        }
        content = {"leaves": leaves, "curves": snapshot.curves}
        self._manager.save(
            snapshot.chunk,
            args=ocp.args.Composite(
                **{_STATE: ocp.args.PyTreeSave(content), _ABOUT: ocp.args.JsonSave(about)}
            ),
            force=True,
        )

    def latest(self) -> int | None:
        """The chunk of the newest snapshot, if there is one."""
        return self._manager.latest_step()

    def restore(self, chunk: int, like: PyTree) -> Snapshot:
        """Reads a snapshot of a state that is laid out as `like`.

        Raises:
          DamagedCheckpointError: it is not what was written, or not of such a state.
        """
        try:
            return self._read(chunk, like)
        except (OSError, ValueError, KeyError, TypeError) as error:
            earlier = [step for step in self._manager.all_steps() if step < chunk]
            remedy = (
                f"delete it, and the same command goes on from {self.path / str(max(earlier))}"
                if earlier
                else "there is no earlier one; delete the run's folder to begin again"
            )
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DamagedCheckpointError(
                f"the checkpoint {self.path / str(chunk)} is damaged ({reason[0][:200]}); {remedy}"
            ) from error

    def close(self) -> None:
        """Lets go of the folder."""
        self._manager.close()

    def _read(self, chunk: int, like: PyTree) -> Snapshot:
        read = ocp.args.Composite(**{_ABOUT: ocp.args.JsonRestore()})
        about: dict[str, Any] = self._manager.restore(chunk, args=read)[_ABOUT]
        expected = [jax.tree_util.keystr(path) for path, _ in _with_paths(like)]
        if about["leaves"] != expected:
            raise ValueError("it holds another kind of state")
        names = {
            "leaves": dict.fromkeys(_named(like), 0),
            "curves": dict.fromkeys(about["curves"], 0),
        }
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), names)
        read = ocp.args.Composite(
            **{_STATE: ocp.args.PyTreeRestore(item=names, restore_args=as_numpy)}
        )
        content = self._manager.restore(chunk, args=read)[_STATE]
        leaves = [content["leaves"][name] for name in _named(like)]
        state = jax.tree.unflatten(jax.tree.structure(like), leaves)
        if fingerprints(state) != about["fingerprints"]:
            raise ValueError("its numbers are not those that were written")
        curves = {name: content["curves"][name] for name in about["curves"]}  # in their order
        return Snapshot(chunk, about["seconds"], curves, state)


def _in_writing(shapes: PyTree) -> int:
    """The bytes that may be on their way to the disk: of a large state, one leaf at a time."""
    leaves = jax.tree.leaves(shapes)
    largest = max(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    return max(largest, _LEAST_IN_WRITING)


@by_first
def discard(path: Path) -> None:
    """Deletes the snapshots of a sweep that has ended and is recorded."""
    shutil.rmtree(path, ignore_errors=True)


def fingerprints(state: PyTree) -> list[str]:
    """A digest of every row of arrays `[rows, ...]`: equal where all bits are equal."""
    leaves = jax.tree.leaves(state)
    digests = [hashlib.blake2b(digest_size=8) for _ in range(leaves[0].shape[0])]
    own = np.zeros(len(digests), bool)
    for leaf in leaves:
        for first, rows in _local_rows(leaf):
            own[first : first + len(rows)] = True
            for digest, row in zip(digests[first:], rows, strict=False):
                digest.update(np.ascontiguousarray(row).tobytes())
    found = np.array([np.frombuffer(digest.digest(), np.uint32) for digest in digests])
    if jax.process_count() > 1:
        # A row is on one device, or, as NumPy's, on every process: whoever has it says the same.
        found = multihost_utils.process_allgather(np.where(own[:, None], found, 0)).max(axis=0)
    return [found_row.astype(np.uint32).tobytes().hex() for found_row in found]


def _local_rows(leaf: Any) -> list[tuple[int, np.ndarray]]:
    """The parts of `[rows, ...]` that this process holds, each with its first row."""
    if not isinstance(leaf, jax.Array):
        return [(0, np.asarray(leaf))]
    return [(part.index[0].start or 0, np.asarray(part.data)) for part in leaf.addressable_shards]


def _with_paths(tree: PyTree) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _named(tree: PyTree) -> dict[str, Any]:
    """The leaves in their order, under names that make no trouble as names of files."""
    return {f"{number:04d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def save_weights(path: Path, weights: Weights) -> None:
    """Writes the weights of all runs, `[R, ...]` NumPy arrays, to a new folder; atomic."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), vars(weights), force=True)


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
