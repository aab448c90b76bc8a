"""Room for checkpoints is looked for before anything is written."""

from __future__ import annotations

from collections import namedtuple

from command_line import SMALL_TREE, fails, stopped_tree

from jaxparl import cli
from jaxparl.envs import REGISTRY
from jaxparl.experiment import disk

Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda place: Usage(10**9, 10**9, 10**3))
    folder = tmp_path / "deep" / "run"
    message = fails(capsys, "train", *SMALL_TREE, "--out", str(folder))
    assert f"no room for {folder}: its disk has 0 MB left, and the checkpoints of 2 runs" in message
    assert not (tmp_path / "deep").exists()


def test_a_checkpoint_is_as_large_as_was_foreseen():
    job = cli.parse(SMALL_TREE)
    env = REGISTRY["game_tree"].environment(job.settings)
    foreseen = 2 * disk.bytes_of_run(job.config, env)
    newest = stopped_tree() / "checkpoints" / "training" / "3"
    written = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
    # Beside the state there are names, shapes and curves; zeros are compressed.
    assert 0.1 * foreseen < written < 1.5 * foreseen + 100_000
