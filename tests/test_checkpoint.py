"""Checkpoints on disk: complete or absent, and known when they are damaged."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxparl.experiment.checkpoint import (
    Checkpoints,
    DamagedCheckpointError,
    Snapshot,
    discard,
    fingerprints,
    load_weights,
    save_weights,
)
from jaxparl.learning.state import Weights

# What orbax still reads when it has found a file to be damaged ends in a loop that is closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def snapshot(evaluations: int) -> Snapshot:
    """Of two rows: a large leaf, a small one and a key, in an order that is not alphabetical."""
    rng = np.random.default_rng(evaluations)
    state = {
        "weights": (rng.normal(size=(2, 200, 5)).astype(np.float32),),
        "key": rng.integers(2**32, size=(2, 2), dtype=np.uint32),
        "count": np.array([evaluations, evaluations], np.int32),
    }
    curves = {name: rng.normal(size=(2, evaluations)) for name in ("welfare", "agent_loss")}
    return Snapshot(evaluations, 1.5 * evaluations, curves, state)


SHAPES = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), snapshot(1).state)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Snapshots after 2 and 3 evaluations."""
    path = tmp_path_factory.mktemp("checkpoints") / "training"
    checkpoints = Checkpoints(path, SHAPES)
    for evaluations in (1, 2, 3):
        checkpoints.save(snapshot(evaluations))
    checkpoints.close()
    return path


@pytest.fixture
def copied(saved, tmp_path) -> Iterator[Checkpoints]:
    """The same, to be damaged."""
    shutil.copytree(saved, tmp_path / "training")
    checkpoints = Checkpoints(tmp_path / "training", SHAPES)
    yield checkpoints
    checkpoints.close()
    gc.collect()  # here, and not in another test


def assert_same(one: Snapshot, other: Snapshot) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert list(one.curves) == list(other.curves)


def test_the_newest_two_are_kept_and_read_as_they_were_written(copied):
    assert sorted(path.name for path in copied.path.iterdir()) == ["2", "3"]
    assert copied.latest() == 3
    for evaluations in (2, 3):
        assert_same(copied.restore(evaluations, SHAPES), snapshot(evaluations))


def numbers_in(checkpoint: Path) -> list[Path]:
    """The files that hold the numbers themselves."""
    found = sorted((checkpoint / "state").rglob("d/*"), key=os.path.getsize)
    assert found
    return found


def truncate(checkpoint: Path) -> None:
    for path in numbers_in(checkpoint):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_bits(checkpoint: Path) -> None:
    for path in numbers_in(checkpoint):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)


def lose_a_file(checkpoint: Path) -> None:
    # What is as small as this is there several times: as a process wrote it, perhaps twice, and in
    # the index of all. A copy alone is no loss.
    files = numbers_in(checkpoint)
    large = files[-1].stat().st_size / 2
    for path in files:
        if path.stat().st_size > large:
            path.unlink()


def delete_the_state(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "state")


def delete_what_is_said_about_it(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "about")


def edit_about(checkpoint: Path, name: str) -> None:
    path = next((checkpoint / "about").rglob("metadata"))
    content = json.loads(path.read_text())
    content[name] = ["0" * 16, *content[name][1:]]
    path.write_text(json.dumps(content))


def edit_the_fingerprints(checkpoint: Path) -> None:
    edit_about(checkpoint, "fingerprints")


def edit_the_leaves(checkpoint: Path) -> None:
    edit_about(checkpoint, "leaves")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_bits,
        lose_a_file,
        delete_the_state,
        delete_what_is_said_about_it,
        edit_the_fingerprints,
        edit_the_leaves,
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_good(damage, copied):
    newest = copied.path / "3"
    damage(newest)
    with pytest.raises(DamagedCheckpointError) as refusal:
        copied.restore(3, SHAPES)
    message = str(refusal.value)
    assert f"the checkpoint {newest} is damaged" in message
    assert f"delete it, and the same command resumes from {newest.parent / '2'}" in message
    assert "\n" not in message
    assert_same(copied.restore(2, SHAPES), snapshot(2))


def test_where_the_only_checkpoint_is_damaged_the_way_out_is_another(copied):
    shutil.rmtree(copied.path / "2")
    truncate(copied.path / "3")
    checkpoints = Checkpoints(copied.path, SHAPES)
    with pytest.raises(DamagedCheckpointError, match="there is no earlier one; delete the run's"):
        checkpoints.restore(3, SHAPES)
    checkpoints.close()


def test_a_checkpoint_of_another_kind_of_state_is_refused(copied):
    with pytest.raises(DamagedCheckpointError, match="it holds another kind of state"):
        copied.restore(3, {"weights": SHAPES["weights"]})


def test_what_was_being_written_when_a_process_was_killed_is_no_checkpoint(copied):
    shutil.copytree(copied.path / "3", copied.path / "4.orbax-checkpoint-tmp")
    checkpoints = Checkpoints(copied.path, SHAPES)
    assert checkpoints.latest() == 3
    assert_same(checkpoints.restore(3, SHAPES), snapshot(3))
    checkpoints.close()


def test_discarded_checkpoints_are_gone_and_it_may_be_done_twice(copied):
    for _ in range(2):
        discard(copied.path)
        assert not copied.path.exists()


def test_fingerprints_are_equal_where_every_bit_is():
    state = snapshot(1).state
    state["weights"][0][1] = state["weights"][0][0]
    state["key"][1] = state["key"][0]
    one, other = fingerprints(state)
    assert one == other
    on_device = jax.tree.map(jax.numpy.asarray, state)
    assert fingerprints(on_device) == [one, other]
    state["weights"][0][1, 3, 2] = np.nextafter(state["weights"][0][1, 3, 2], np.float32(9))
    assert fingerprints(state)[0] == one
    assert fingerprints(state)[1] != one


def test_weights_are_read_as_they_were_written_and_in_place_of_older_ones(tmp_path):
    path = tmp_path / "final"
    for scale in (1.0, 2.0):
        layer = {"Dense_0": {"kernel": np.full((3, 2, 4), scale, np.float32)}}
        weights = Weights(layer, layer, {"params": layer}, outcome_model={})
        save_weights(path, weights)
    jax.tree.map(np.testing.assert_array_equal, vars(load_weights(path)), vars(weights))
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_weights(tmp_path / "nowhere")


@pytest.fixture
def full_disk(monkeypatch) -> Iterator[None]:
    """A disk on which files may be made, and nothing written; orbax says so in its own words."""

    class Full(ocp.PyTreeCheckpointHandler):
        async def async_save(self, directory, *_, **__):
            (directory / "begun").mkdir(parents=True)
            # As when one of orbax' tasks fails, and the others are abandoned.
            logging.getLogger("absl").error("a thread has failed")
            raise ValueError("RESOURCE_EXHAUSTED: Failed to write 8 bytes: No space left on device")

    for name in ("PyTreeCheckpointHandler", "StandardCheckpointHandler"):
        monkeypatch.setattr(getattr(ocp, name), "async_save", Full.async_save)
    yield


def test_a_full_disk_leaves_the_checkpoints_that_are_there(copied, full_disk, caplog):
    with pytest.raises(OSError) as failure:
        copied.save(snapshot(4))
    assert str(failure.value) == (
        f"the checkpoint {copied.path / '4'} could not be written (No space left on device); once "
        f"it can, the same command with --resume auto goes on from {copied.path / '3'}"
    )
    assert sorted(path.name for path in copied.path.iterdir()) == ["2", "3"], "and makes room"
    assert caplog.records == []


def test_a_full_disk_before_the_first_checkpoint_means_to_begin_again(tmp_path, full_disk):
    checkpoints = Checkpoints(tmp_path / "training", SHAPES)
    with pytest.raises(OSError, match=r"\(No space left on device\).* --resume auto begins again$"):
        checkpoints.save(snapshot(1))
    checkpoints.close()


def test_weights_that_cannot_be_written_or_read_are_an_error_of_one_line(
    tmp_path, full_disk, monkeypatch
):
    layer = {"kernel": np.zeros((3, 2, 4), np.float32)}
    weights = Weights(layer, layer, layer, outcome_model={})
    with pytest.raises(OSError, match=r"final could not be written \(No space left on device\); o"):
        save_weights(tmp_path / "final", weights)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    save_weights(tmp_path / "final", weights)
    for path in (tmp_path / "final").rglob("d/*"):
        path.write_bytes(b"")
    with pytest.raises(DamagedCheckpointError, match=r"the weights .*final are damaged") as refusal:
        load_weights(tmp_path / "final")
    assert "\n" not in str(refusal.value)


def test_orbax_has_nothing_to_warn_of(copied, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        copied.save(copied.restore(3, SHAPES)._replace(evaluations=4))
        assert_same(copied.restore(4, SHAPES)._replace(evaluations=3), snapshot(3))
    assert caplog.records == []
