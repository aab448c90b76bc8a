"""What a run is resumed from, and what it has learned, on disk through orbax.

The only file that imports orbax.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxparl.experiment.orbax_manners import in_one_line, kept_handlers
from jaxparl.experiment.processes import by_first
from jaxparl.learning.state import Weights
from jaxparl.types import PyTree

with kept_handlers():
    import orbax.checkpoint as ocp

# The newest checkpoint, and the one before it in case the newest is damaged.
_KEPT = 2
_STATE, _ABOUT = "state", "about"
# Of a state that is smaller than this, in bytes, all leaves are written at once.
_LEAST_BYTES_IN_FLIGHT = 64_000_000


class DamagedCheckpointError(OSError):
    """A checkpoint does not hold what was written."""


class Snapshot(NamedTuple):
    """Where a sweep stands after an evaluation.

    Attributes:
      evaluations: how many are done.
      seconds: spent so far, compiling not included.
      curves: every metric so far, `[R, evaluations]`.
      state: everything that the runs consist of, arrays `[rows, ...]`; typed keys as numbers.
    """

    evaluations: int
    seconds: float
    curves: dict[str, np.ndarray]
    state: PyTree


class Checkpoints:
    """The snapshots of one sweep in a folder of their own, each of them complete or absent.

    A new one is written beside those before it, and takes its name when it is complete.

    Args:
      path: the folder; it is created if need be.
      shapes: the shapes and types of the states, `[rows, ...]`.
    """

    def __init__(self, path: Path, shapes: PyTree):
        self.path: Path = path.absolute()
        self._manager = ocp.CheckpointManager(
            self.path,
            item_handlers={
                _STATE: ocp.PyTreeCheckpointHandler(
                    handler_impl=ocp.BasePyTreeCheckpointHandler(
                        save_concurrent_bytes=_bytes_in_flight(shapes)
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
        """Writes a snapshot, and deletes the oldest one where there are more than two.

        Raises:
          OSError: it could not be written; those before it are as they were.
        """
        about = {
            "seconds": snapshot.seconds,
            "leaves": _leaf_paths(snapshot.state),
            "curves": list(snapshot.curves),
            "fingerprints": fingerprints(snapshot.state),
        }
        content = {"leaves": _numbered_leaves(snapshot.state), "curves": snapshot.curves}
        args = ocp.args.Composite(
            **{_STATE: ocp.args.PyTreeSave(content), _ABOUT: ocp.args.JsonSave(about)}
        )
        try:
            in_one_line(lambda: self._manager.save(snapshot.evaluations, args=args, force=True))
        except OSError as error:
            target = self.path / str(snapshot.evaluations)
            _remove_unfinished(target)
            complete = [int(path.name) for path in self.path.iterdir() if path.name.isdecimal()]
            way_on = (
                f"goes on from {self.path / str(max(complete))}" if complete else "begins again"
            )
            raise OSError(
                f"the checkpoint {target} could not be written ({error}); once it can, the same "
                f"command with --resume auto {way_on}"
            ) from None

    def latest(self) -> int | None:
        """The number of evaluations of the newest snapshot, if there is one."""
        return self._manager.latest_step()

    def restore(self, evaluations: int, like: PyTree) -> Snapshot:
        """Reads a snapshot whose state has the structure of `like`.

        Raises:
          DamagedCheckpointError: it does not hold what was written, or another kind of state.
        """
        try:
            return in_one_line(lambda: self._read(evaluations, like))
        except OSError as error:
            earlier = [step for step in self._manager.all_steps() if step < evaluations]
            remedy = (
                f"delete it, and the same command resumes from {self.path / str(max(earlier))}"
                if earlier
                else "there is no earlier one; delete the run's folder to begin again"
            )
            raise DamagedCheckpointError(
                f"the checkpoint {self.path / str(evaluations)} is damaged ({error}); {remedy}"
            ) from None

    def keep_newest(self) -> None:
        """Deletes all snapshots but the newest."""
        for evaluations in self._manager.all_steps()[:-1]:
            self._manager.delete(evaluations)

    def close(self) -> None:
        """Releases the folder."""
        self._manager.close()

    def _read(self, evaluations: int, like: PyTree) -> Snapshot:
        read = ocp.args.Composite(**{_ABOUT: ocp.args.JsonRestore()})
        about: dict[str, Any] = self._manager.restore(evaluations, args=read)[_ABOUT]
        if about["leaves"] != _leaf_paths(like):
            raise ValueError("it holds another kind of state")
        names = {
            "leaves": dict.fromkeys(_numbered_leaves(like), 0),
            "curves": dict.fromkeys(about["curves"], 0),
        }
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), names)
        read = ocp.args.Composite(
            **{_STATE: ocp.args.PyTreeRestore(item=names, restore_args=as_numpy)}
        )
        content = self._manager.restore(evaluations, args=read)[_STATE]
        leaves = [content["leaves"][name] for name in _numbered_leaves(like)]
        state = jax.tree.unflatten(jax.tree.structure(like), leaves)
        if fingerprints(state) != about["fingerprints"]:
            raise ValueError("its numbers are not those that were written")
        curves = {name: content["curves"][name] for name in about["curves"]}  # in their order
        return Snapshot(evaluations, about["seconds"], curves, state)


@by_first
def discard(path: Path) -> None:
    """Deletes the snapshots of a sweep that has ended and is recorded."""
    shutil.rmtree(path, ignore_errors=True)


def fingerprints(state: PyTree) -> list[str]:
    """A digest of every row of arrays `[rows, ...]`: equal where all bits are equal.

    Examples:
      >>> one, other = fingerprints({"weight": np.array([[1.0, 2.0], [1.0, 3.0]])})
      >>> len(one), one == other
      (16, False)
    """
    leaves = jax.tree.leaves(state)
    digests = [hashlib.blake2b(digest_size=8) for _ in range(leaves[0].shape[0])]
    is_local = np.zeros(len(digests), bool)
    for leaf in leaves:
        for first, rows in _local_rows(leaf):
            is_local[first : first + len(rows)] = True
            for digest, row in zip(digests[first:], rows, strict=False):
                digest.update(np.ascontiguousarray(row).tobytes())
    found = np.array([np.frombuffer(digest.digest(), np.uint32) for digest in digests])
    if jax.process_count() > 1:
        # A row is on one device, or, as a NumPy array, on every process: all that have it agree.
        local = np.where(is_local[:, None], found, 0)
        found = multihost_utils.process_allgather(local).max(axis=0)
    return [row.astype(np.uint32).tobytes().hex() for row in found]


def save_weights(path: Path, weights: Weights) -> None:
    """Writes the weights of all runs, NumPy arrays `[R, ...]`, to a new folder; atomic.

    See `load_weights` for an example.

    Raises:
      OSError: they could not be written.
    """

    def save() -> None:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path.absolute(), vars(weights), force=True)

    try:
        in_one_line(save)
    except OSError as error:
        _remove_unfinished(path)
        raise OSError(
            f"the weights {path} could not be written ({error}); once they can, the same command "
            "with --resume auto goes on from the last checkpoint"
        ) from None


def load_weights(path: Path) -> Weights:
    """Reads the weights of all runs, `[R, ...]`, of a finished run.

    They are in its folder under `checkpoints/final`. Index the leading axis R to select a run.

    Args:
      path: the folder of the weights.

    Raises:
      FileNotFoundError: there is no such folder.
      DamagedCheckpointError: it does not hold what was written.

    Examples:
      >>> import tempfile
      >>> network = {"kernel": np.zeros((3, 2, 4), np.float32)}  # of three runs
      >>> weights = Weights(network, network, network, outcome_model={})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save_weights(Path(folder) / "final", weights)
      ...     loaded = load_weights(Path(folder) / "final")
      >>> loaded.principal["kernel"].shape
      (3, 2, 4)
      >>> jax.tree.map(lambda leaf: leaf[1], loaded).principal["kernel"].shape
      (2, 4)
    """
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")

    def restore() -> Weights:
        with ocp.StandardCheckpointer() as checkpointer:
            return Weights(**checkpointer.restore(path.absolute()))

    try:
        return in_one_line(restore)
    except OSError as error:
        raise DamagedCheckpointError(f"the weights {path} are damaged ({error})") from None


def _remove_unfinished(path: Path) -> None:
    """Removes what orbax has left of a folder that it could not finish, and makes room."""
    for unfinished in path.parent.glob(f"{path.name}.orbax-checkpoint-tmp*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _bytes_in_flight(shapes: PyTree) -> int:
    """How many bytes may be on their way to the disk: of a large state, one leaf at a time."""
    leaves = jax.tree.leaves(shapes)
    largest = max(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    return max(largest, _LEAST_BYTES_IN_FLIGHT)


def _local_rows(leaf: Any) -> list[tuple[int, np.ndarray]]:
    """The parts of `[rows, ...]` that this process holds, each with the number of its first row."""
    if not isinstance(leaf, jax.Array):
        return [(0, np.asarray(leaf))]
    return [(part.index[0].start or 0, np.asarray(part.data)) for part in leaf.addressable_shards]


def _leaf_paths(tree: PyTree) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _numbered_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves in their order, under names that are safe as file names."""
    return {f"{number:04d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}
