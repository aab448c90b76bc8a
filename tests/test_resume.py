"""A run that is stopped, or whose folder is damaged: it is resumed to the bit, or says why not."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from command_line import (
    INTERVAL,
    RESUMED,
    SMALL_COIN_GAME,
    SMALL_TREE,
    assert_same_results,
    compile_once,
    contents,
    edit_json,
    finished,
    stop_after,
    stopped_tree,
    train,
)

from jaxparl import cli
from jaxparl.experiment import provenance
from jaxparl.experiment.checkpoint import Checkpoints
from jaxparl.experiment.run_folder import RunFolder

# What orbax still reads when it has found a file to be damaged ends in a loop that is closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TREE = (*SMALL_TREE, *RESUMED)


def folders_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("evaluations", [2, 4])
def test_stopped_training_is_resumed_to_the_bit(evaluations, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_after(patch, evaluations)
        assert train(folder, *TREE) == 128 + signal.SIGTERM
    shown = capsys.readouterr().out
    assert f"stopped at iteration {evaluations * INTERVAL}" in shown
    assert "--resume auto goes on from there" in shown
    assert not (folder / "summary.json").exists()
    assert str(evaluations) in folders_in(folder / "checkpoints" / "training")
    assert train(folder, *TREE) == 0
    assert_same_results(folder, finished(*SMALL_TREE))
    assert folders_in(folder / "checkpoints") == ["final", "training"]


@pytest.mark.slow
@pytest.mark.parametrize("learn_by", ["dqn", "ppo"])
def test_stopped_validation_is_resumed_to_the_bit(learn_by, tmp_path, capsys, monkeypatch):
    boxes = ("--black-boxes", learn_by, "--schemes", "principal", "selfish", "--validate")
    whole = (*SMALL_COIN_GAME, *boxes)
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_after(patch, 4 + 2, signal.SIGINT)
        assert train(folder, *whole, *RESUMED) == 128 + signal.SIGINT
    assert "stopped at iteration 200" in capsys.readouterr().out
    # Training is finished, and its checkpoints are gone; of validation there are only those.
    assert (folder / "summary.json").exists()
    assert not (folder / "validation.json").exists()
    assert folders_in(folder / "checkpoints") == ["final", "training", "validating"]
    assert train(folder, *whole, *RESUMED) == 0
    assert_same_results(folder, finished(*whole))
    assert folders_in(folder / "checkpoints") == ["final", "training"]


def test_a_finished_run_is_not_run_again(tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished(*SMALL_TREE), folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    assert train(folder, *TREE) == 0
    assert "finished already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.fixture
def stopped(tmp_path) -> Path:
    """A run with two checkpoints, after 200 and 300 of 400 iterations."""
    folder = tmp_path / "run"
    shutil.copytree(stopped_tree(), folder)
    assert folders_in(folder / "checkpoints" / "training") == ["2", "3"]
    return folder


def test_a_damaged_checkpoint_is_named_and_what_the_message_advises_helps(stopped, capsys):
    newest = stopped / "checkpoints" / "training" / "3"
    for path in (newest / "state").rglob("d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert train(stopped, *TREE) == 1
    message = capsys.readouterr().err
    assert f"the checkpoint {newest} is damaged" in message
    assert f"delete it, and the same command resumes from {newest.parent / '2'}" in message
    assert "Traceback" not in message
    gc.collect()  # here, and not in another test
    shutil.rmtree(newest)
    assert train(stopped, *TREE) == 0
    assert_same_results(stopped, finished(*SMALL_TREE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--nudge", "0.5"), "config.hyper_params.nudge was 0.006, not 0.5"),
        (("--depth", "4"), "settings.depth was 3, not 4"),
        (("--seeds", "0:1"), "runs was 2 of them, not 1 of them"),
        (("--seeds", "1:3"), "runs[0].seed was 0, not 1"),
        (("--lanes", "2"), "lanes was 1, not 2"),
    ],
)
def test_other_settings_are_refused_and_named(change, message, stopped, capsys):
    before = contents(stopped)
    assert train(stopped, *TREE, *change) == 2
    assert message in capsys.readouterr().err
    assert contents(stopped) == before


@pytest.mark.parametrize("source", [stopped_tree, lambda: finished(*SMALL_TREE)])
def test_a_run_of_an_older_version_is_left_to_it(source, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(source(), folder)
    edit_json(folder / "config.json", format=None, versions={"jaxparl": "0.1.0"})
    before = contents(folder)
    assert train(folder, *TREE) == 2
    message = capsys.readouterr().err
    assert f"error: {folder} was written by jaxparl 0.1.0" in message
    assert "finish it with that version, or choose another --out" in message
    assert message.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_config_that_is_none_is_named(content, stopped, capsys):
    (stopped / "config.json").write_text(content)
    assert train(stopped, *TREE) == 2
    message = capsys.readouterr().err
    assert f"{stopped / 'config.json'} is damaged" in message
    assert message.count("\n") == 1


def test_a_config_of_something_else_is_refused(stopped, capsys):
    (stopped / "config.json").write_text(json.dumps({"format": provenance.FORMAT, "settings": 3}))
    assert train(stopped, *TREE) == 2
    assert "was made with other settings" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_resumed(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("five years of work")
    assert train(tmp_path, *TREE) == 2
    assert "holds no run" in capsys.readouterr().err
    assert folders_in(tmp_path) == ["thesis.txt"]


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
    assert folders_in(tmp_path / "run" / "checkpoints" / "training") == ["1"]
    assert train(tmp_path / "run", *TREE) == 0
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


def test_a_folder_that_cannot_be_written_to_is_named(stopped, capsys, monkeypatch):
    before, opened = contents(stopped), Path.open

    # Not by permissions: whoever may do anything, as in many a container, may write anywhere.
    def read_only(self, mode="r", *rest, **options):
        if set(mode) & set("wa+x"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return opened(self, mode, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", read_only)
        assert train(stopped, *TREE) == 2
    message = capsys.readouterr().err
    assert "Read-only file system" in message
    assert str(stopped) in message
    assert contents(stopped) == before


def test_a_place_where_nothing_can_be_made_is_named(capsys):
    assert train(Path("/proc/nowhere/run"), *TREE) == 2
    assert "/proc/nowhere" in capsys.readouterr().err


def test_a_folder_that_is_being_worked_in_is_left_alone(stopped, capsys):
    before = contents(stopped)
    with contextlib.closing(RunFolder(stopped, resume=True)):
        assert train(stopped, *TREE) == 2
    assert f"another process is at work in {stopped}" in capsys.readouterr().err
    assert contents(stopped) == before


def test_without_out_the_folder_of_the_same_settings_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compile_once(monkeypatch)
    # One that an older version has made is not resumed, and is left as it is.
    old = Path("runs") / "game_tree-quick-1"
    old.mkdir(parents=True)
    shutil.copy(stopped_tree() / "config.json", old)
    edit_json(old / "config.json", format=None)
    # Nor does one stand in the way that is damaged.
    damaged = Path("runs") / "game_tree-quick-0"
    damaged.mkdir()
    (damaged / "config.json").write_text("")
    before = contents(old)
    other = (*TREE, "--nudge", "0.5")
    for arguments in (TREE, other, TREE, other):
        cli.main(["train", *arguments])
    assert folders_in(Path("runs")) == [f"game_tree-quick-{number}" for number in range(4)]
    assert contents(old) == before
