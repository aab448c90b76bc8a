"""The run folder: who may write to it, what it records, and folders of other versions."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import edit_json

from jaxparl.experiment import provenance
from jaxparl.experiment.provenance import differences
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.run_folder import RunFolder, atomic, read_config
from jaxparl.training.runs import grid

RUNS = grid([0], [0, 1], {"nudge": [0.02]})
SETTINGS = {"environment": "game_tree", "config": {"sizes": (64, 64)}}


def test_settings_that_differ_are_named_where_they_differ():
    here = {"config": {"rates": {"nudge": 0.02}, "sizes": [64, 64]}, "runs": [{"seed": 0}]}
    there = {"config": {"rates": {"nudge": 0.0}, "sizes": [64]}, "runs": [{"seed": 1}]}
    assert differences(here, here) == []
    assert differences(here, there) == [
        "config.rates.nudge was 0.0, not 0.02",
        "config.sizes was 1 of them, not 2 of them",
        "runs[0].seed was 1, not 0",
    ]
    assert differences("x" * 50, None, "name") == [f'name was null, not "{"x" * 35} ...']


def test_one_process_at_a_time_has_a_folder(tmp_path):
    first = RunFolder(tmp_path)
    with pytest.raises(BlockingIOError, match="another process is at work"):
        RunFolder(tmp_path)
    first.close()
    RunFolder(tmp_path).close()


def test_an_empty_folder_may_be_reused_and_a_full_one_not(tmp_path):
    RunFolder(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    (tmp_path / "metrics.csv").write_text("precious")
    with pytest.raises(FileExistsError, match="is not empty"):
        RunFolder(tmp_path)
    with pytest.raises(FileExistsError, match="holds no run"):
        RunFolder(tmp_path, resume=True)
    assert (tmp_path / "metrics.csv").read_text() == "precious"


@pytest.fixture
def folder(tmp_path):
    opened = RunFolder(tmp_path / "run")
    opened.write_config(SETTINGS, RUNS)
    yield opened
    opened.close()


def test_the_config_says_what_was_run_and_on_what(folder):
    config = read_config(folder.path)
    assert config["format"] == provenance.FORMAT
    assert config["config"] == {"sizes": [64, 64]}
    assert config["runs"] == [{"game": 0, "seed": seed, "nudge": 0.02} for seed in (0, 1)]
    assert {"jaxparl", "jax", "jaxlib", "python"} <= set(config["versions"])
    assert config["machine"]["cores"] >= 1
    assert config["machine"]["processor"]


def test_the_same_settings_may_resume_a_folder_and_others_not(folder):
    assert folder.write_config(SETTINGS, RUNS) == []
    with pytest.raises(ValueError, match="made with other settings: runs was 2 of them, not 1"):
        folder.write_config(SETTINGS, RUNS[:1])


def test_versions_that_have_changed_are_named(folder):
    path = folder.path / "config.json"
    config = json.loads(path.read_text())
    config["versions"]["jax"] = "0.0.1"
    path.write_text(json.dumps(config))
    (change,) = folder.write_config(SETTINGS, RUNS)
    assert change.startswith('versions.jax was "0.0.1", not "')


def test_another_machine_is_named_where_bits_depend_on_it(folder):
    path = folder.path / "config.json"
    machine = json.loads(path.read_text())["machine"]
    assert machine["threads"] >= machine["cores"] or "NPROC" in os.environ
    # More cores at as many threads only make it faster.
    edit_json(path, machine=machine | {"cores": 99})
    assert folder.write_config(SETTINGS, RUNS) == []
    edit_json(path, machine=machine | {"processor": "Z80", "threads": 99})
    assert folder.write_config(SETTINGS, RUNS) == [
        f'machine.processor was "Z80", not {json.dumps(machine["processor"])}',
        f"machine.threads was 99, not {machine['threads']}",
    ]


def test_remarks_are_recorded_and_never_compared(tmp_path):
    opened = RunFolder(tmp_path)
    opened.write_config(SETTINGS, RUNS, slurm_array={"first": 3, "step": 1})
    assert read_config(tmp_path)["slurm_array"] == {"first": 3, "step": 1}
    assert opened.write_config(SETTINGS, RUNS) == []
    opened.close()


def test_an_array_file_holds_what_was_found_and_nothing_else(folder):
    result = StageResult(RUNS, np.array([1]), {"utility": np.zeros((2, 1))}, {}, [])
    folder.write_arrays(result)
    with np.load(folder.path / "metrics.npz") as arrays:
        assert set(arrays) == {"game", "seed", "nudge", "iteration", "utility"}


def test_what_cannot_be_written_is_named_and_what_was_there_stays(tmp_path):
    target = tmp_path / "summary.json"
    target.write_text("before")
    with pytest.raises(OSError, match=r"No space left on device: '.*summary.json'"), atomic(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(KeyboardInterrupt), atomic(target) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert target.read_text() == "before"


def test_curves_are_read_as_they_were_written_and_rows_are_labelled(folder):
    curves = {"utility": np.arange(6.0).reshape(2, 3)}
    result = StageResult(RUNS, np.array([1, 2, 3]), curves, {}, [])
    folder.write_arrays(result)
    found = folder.read_curves(RUNS)
    assert list(found) == ["utility"]
    np.testing.assert_array_equal(found["utility"], curves["utility"])
    arrays = np.load(folder.path / "metrics.npz")
    assert arrays["seed"].tolist() == [0, 1]
    assert arrays["nudge"].tolist() == [0.02, 0.02]


def test_metrics_begin_with_the_evaluations_so_far_and_later_ones_are_dropped(folder):
    path = folder.path / "metrics.csv"
    folder.append_metrics(RUNS, 9, {"utility": np.array([7.0, 8.0])})
    assert path.read_text().splitlines()[0] == "game,seed,nudge,iteration,utility"
    folder.start_metrics(RUNS, np.array([3]), {"utility": np.array([[1.0], [2.0]])})
    folder.append_metrics(RUNS, 6, {"utility": np.array([1 / 3, np.nan])})
    assert path.read_text().splitlines()[1:] == [
        "0,0,0.02,3,1",
        "0,1,0.02,3,2",
        "0,0,0.02,6,0.33333333",
        "0,1,0.02,6,nan",
    ]


def test_a_summary_is_there_or_not(folder):
    assert not folder.has_summary("summary")
    folder.write_summary("summary", {"welfare": 1.5})
    assert folder.has_summary("summary")
    assert json.loads((folder.path / "summary.json").read_text()) == {"welfare": 1.5}
    assert [path.name for path in folder.path.glob(".*")] == [".lock"], "nothing half written"


def written_by(version: str | None, path: Path) -> None:
    """Makes a folder look like one of jaxparl 0.1.0, which recorded no format."""
    content = {
        **json.loads((path / "config.json").read_text()),
        "versions": {"jaxparl": version} if version else None,
    }
    del content["format"]
    (path / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("version", ["0.1.0", None])
def test_a_folder_of_another_version_is_not_resumed_and_says_which_one_can(version, folder):
    written_by(version, folder.path)
    before = (folder.path / "config.json").read_bytes()
    with pytest.raises(ValueError) as refusal:
        folder.write_config(SETTINGS, RUNS)
    message = str(refusal.value)
    assert f"was written by jaxparl {version or 'of an unknown version'}" in message
    assert "cannot resume it" in message
    assert "finish it with that version, or choose another --out" in message
    assert "\n" not in message
    assert (folder.path / "config.json").read_bytes() == before
