"""A run that is stopped, killed or damaged: it goes on to the bit, or says why it cannot."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxparl import cli, report
from jaxparl.checkpoint import Checkpoints
from jaxparl.records import RunFolder

# What orbax still reads when it has found a file to be damaged ends in a loop that is closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LEARNING = (
    *("--iterations", "400", "--evaluation-interval", "100", "--replay-capacity", "1600"),
    *("--hidden-sizes", "16", "16", "--games", "0:1", "--seeds", "0:2"),
    *("--checkpoint-seconds", "0", "--resume", "auto"),
)
TREE = ("game_tree", "--depth", "3", *LEARNING)
COINS = ("coin_game", "--grid-size", "2", "--max-steps-in-episode", "4", *LEARNING)
NOW_IN = {"training": "metrics", "validating": "validation"}


def train(folder: Path, *arguments: str) -> int:
    """Runs the command line in a folder; returns its exit code."""
    try:
        cli.main(["train", *arguments, "--out", str(folder)])
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code
    return 0


def stop_after(monkeypatch, chunks: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Sends this process a signal once so many chunks are done, of all phases together."""
    update, seen = report.ProgressLine.update, []

    def counted(self, progress):
        update(self, progress)
        seen.append(progress)
        if len(seen) == chunks:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(report.ProgressLine, "update", counted)


def assert_same_results(one: Path, other: Path) -> None:
    """Every number that two folders hold is the same, but for what took how long."""
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names:
        if name.endswith(".csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
        elif name.endswith(".npz"):
            arrays, others = np.load(one / name), np.load(other / name)
            for field in arrays:
                np.testing.assert_array_equal(arrays[field], others[field])
        elif name in ("summary.json", "validation.json"):
            found = [json.loads((folder / name).read_text()) for folder in (one, other)]
            for content in found:
                del content["timing"]
            assert found[0] == found[1]  # the fingerprints of every run's whole state with it


@pytest.mark.parametrize(
    ("arguments", "chunks"), [(TREE, 2), (TREE, 4), ((*COINS, "--validate"), 6)]
)
def test_a_stopped_run_goes_on_to_the_bit(arguments, chunks, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, chunks)
        assert train(tmp_path / "stopped", *arguments) == 128 + signal.SIGTERM
    says = capsys.readouterr().out
    assert f"stopped at iteration {100 * (chunks if chunks <= 4 else chunks - 4)}" in says
    assert "--resume auto goes on from there" in says
    assert not (tmp_path / "stopped" / NOW_IN["validating"]).exists()
    assert train(tmp_path / "stopped", *arguments) == 0
    assert train(tmp_path / "whole", *arguments) == 0
    assert_same_results(tmp_path / "stopped", tmp_path / "whole")
    assert [path.name for path in (tmp_path / "whole" / "checkpoints").iterdir()] == ["final"]

    # A third time there is nothing to do, and nothing is done.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*.npz")}
    capsys.readouterr()
    assert train(tmp_path / "whole", *arguments) == 0
    assert "finished already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run with two checkpoints, after 200 and 300 of 400 iterations."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        assert train(folder, *TREE) == 128 + signal.SIGTERM
    assert sorted(path.name for path in (folder / "checkpoints" / "training").iterdir()) == [
        "2",
        "3",
    ]
    return folder


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


def delete_what_is_told(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "about")


def edit_the_fingerprints(checkpoint: Path) -> None:
    path = next((checkpoint / "about").rglob("metadata"))
    content = json.loads(path.read_text())
    content["fingerprints"][0] = "0" * 16
    path.write_text(json.dumps(content))


def edit_the_leaves(checkpoint: Path) -> None:
    path = next((checkpoint / "about").rglob("metadata"))
    content = json.loads(path.read_text())
    content["leaves"].pop()
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_bits,
        lose_a_file,
        delete_the_state,
        delete_what_is_told,
        edit_the_fingerprints,
        edit_the_leaves,
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_good(
    damage, stopped, tmp_path, capsys
):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    newest = folder / "checkpoints" / "training" / "3"
    damage(newest)
    capsys.readouterr()
    assert train(folder, *TREE) == 1
    says = capsys.readouterr().err
    assert f"the checkpoint {newest} is damaged" in says
    assert f"goes on from {newest.parent / '2'}" in says
    assert "Traceback" not in says
    gc.collect()  # here, and not in another test
    # What it says to do helps.
    shutil.rmtree(newest)
    assert train(folder, *TREE) == 0
    assert train(tmp_path / "whole", *TREE) == 0
    assert_same_results(folder, tmp_path / "whole")


def test_other_settings_are_refused_and_named(stopped, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    before = contents(folder)
    for change, says in (
        (("--nudge", "0.5"), "config.rates.nudge was 0.006, not 0.5"),
        (("--depth", "4"), "settings.depth was 3, not 4"),
        (("--seeds", "0:3"), "runs was 2 of them, not 3 of them"),
        (("--seeds", "1:3"), "runs[0].seed was 0, not 1"),
        (("--lanes", "2"), "lanes was 1, not 2"),
    ):
        assert train(folder, *TREE, *change) == 2
        assert says in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": 3}'])
def test_a_config_that_is_none_is_named(content, stopped, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    (folder / "config.json").write_text(content)
    assert train(folder, *TREE) == 2
    assert "config.json" in (says := capsys.readouterr().err) or "other settings" in says
    assert "Traceback" not in says


def test_a_folder_of_something_else_is_not_resumed(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("five years of work")
    assert train(tmp_path, *TREE) == 2
    assert "holds no run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, capsys, monkeypatch):
    save, saved = Checkpoints.save, []

    def full(self, snapshot):
        if saved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(save(self, snapshot))

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", full)
        assert train(tmp_path / "run", *TREE) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert train(tmp_path / "run", *TREE) == 0
    assert train(tmp_path / "whole", *TREE) == 0
    assert_same_results(tmp_path / "run", tmp_path / "whole")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_cannot_be_written_to_is_named(stopped, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    before, opened = contents(folder), Path.open

    # Not by permissions: whoever may do anything, as in many a container, may write anywhere.
    def read_only(self, mode="r", *rest, **options):
        if set(mode) & set("wa+x"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return opened(self, mode, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", read_only)
        assert train(folder, *TREE) == 2
    says = capsys.readouterr().err
    assert "Read-only file system" in says
    assert str(folder) in says
    assert contents(folder) == before


def test_a_place_where_nothing_can_be_made_is_named(capsys):
    assert train(Path("/proc/nowhere/run"), *TREE) == 2
    assert "/proc/nowhere" in capsys.readouterr().err


def test_a_folder_that_is_being_worked_in_is_left_alone(stopped, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    before = contents(folder)
    with contextlib.closing(RunFolder(folder, resume=True)):
        assert train(folder, *TREE) == 2
    assert f"another process is at work in {folder}" in capsys.readouterr().err
    assert contents(folder) == before


def test_without_out_the_folder_of_the_same_settings_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = (*TREE, "--nudge", "0.5")
    for arguments in (TREE, other, TREE, other):
        cli.main(["train", *arguments])
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "game_tree-quick-1",
        "game_tree-quick-2",
    ]
