"""Trackers get what the folder gets; none is imported that was not asked for, or stops a run."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from command_line import EVALUATIONS, SMALL_TREE, fails, train

from jaxparl import trackers
from jaxparl.experiment import tracking

METRICS = ("utility_ratio", "agent_loss")


class Recorder:
    """A tracker that keeps what it is told."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.told = []

    def _tell(self, what, *content):
        self.told.append((what, *content))
        if what == self.fails_at:
            raise ConnectionError("no route\nto the server")

    def start(self, runs, iteration=0):
        self._tell("start", runs, iteration)

    def log(self, iteration, metrics):
        self._tell("log", iteration, metrics)

    def finish(self):
        self._tell("finish")


@pytest.fixture
def recorder(monkeypatch):
    """What is made in place of any tracker."""
    made = Recorder()
    monkeypatch.setattr(tracking, "make_tracker", lambda name, folder: made)
    monkeypatch.setattr("jaxparl.experiment.job.check_installed", lambda name: None)
    return made


def curves(folder, name):
    with np.load(folder / "metrics.npz") as arrays:
        return arrays["iteration"], arrays[name]


def test_a_tracker_gets_every_metric_of_every_run_at_every_evaluation(tmp_path, recorder):
    assert train(tmp_path / "run", *SMALL_TREE, "--log", "wandb") == 0
    (start, runs, iteration), *logs, (finish,) = recorder.told
    assert (start, iteration, finish) == ("start", 0, "finish")
    assert [run.name for run in runs] == ["game 0 seed 0", "game 0 seed 1"]
    assert {run.group for run in runs} == {"run, training"}
    assert len({run.id for run in runs}) == 2
    assert [run.settings["seed"] for run in runs] == [0, 1]
    assert runs[0].settings["environment"] == "game_tree"
    assert runs[0].settings["config.iterations"] == 100 * EVALUATIONS
    for name in METRICS:
        iterations, values = curves(tmp_path / "run", name)
        assert [iteration for _, iteration, _ in logs] == iterations.tolist()
        np.testing.assert_array_equal([metrics[name] for _, _, metrics in logs], values.T)


@pytest.mark.parametrize("moment", ["start", "log", "finish"])
def test_a_tracker_that_fails_is_named_once_and_the_run_goes_on(moment, tmp_path, recorder, capsys):
    recorder.fails_at = moment
    assert train(tmp_path / "run", *SMALL_TREE, "--log", "mlflow") == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "mlflow" in line]
    assert warning == (
        "warning: mlflow has stopped, and the run goes on without it: ConnectionError: no route "
        "to the server"
    )
    assert sum(what == moment for what, *_ in recorder.told) == 1
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_tracker_that_is_not_installed_is_bad_input(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(trackers.TRACKERS, "wandb", "no_such_package")
    out = ("--out", str(tmp_path / "run"))
    message = fails(capsys, "train", *SMALL_TREE, "--log", "wandb", *out)
    assert "wandb needs the package no_such_package: pip install 'jaxparl[wandb]'" in message
    assert not (tmp_path / "run").exists()


def test_no_package_of_a_tracker_is_imported_unasked():
    code = "import sys, jaxparl.cli, jaxparl.trackers; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not set(trackers.TRACKERS.values()) & set(shown.split())


# --- The packages themselves ------------------------------------------------------------------


def read_tensorboard(folder, run):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    place = folder / "tensorboard" / run.group / run.name
    found = events.EventAccumulator(str(place)).Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in METRICS}


# How wandb cuts its file: into blocks, and records into pieces, each with a checksum, a length and
# a kind, of which the last two kinds are a whole record and the last piece of one.
_HEADER, _BLOCK, _PIECE, _ENDS = 7, 32_768, "<IHB", (1, 4)


def wandb_records(content):
    """The records in a file of wandb."""
    place, record = _HEADER, b""
    while place < len(content):
        if _BLOCK - place % _BLOCK < struct.calcsize(_PIECE):
            place += _BLOCK - place % _BLOCK
        _, length, kind = struct.unpack_from(_PIECE, content, place)
        place += struct.calcsize(_PIECE)
        record += content[place : place + length]
        place += length
        if kind in _ENDS:
            yield record
            record = b""


def read_wandb(folder, run):
    protobuf = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (file,) = folder.glob(f"wandb/offline-run-*/run-{run.id}.wandb")
    found = {name: [] for name in METRICS}
    for data in wandb_records(file.read_bytes()):
        record = protobuf.Record.FromString(data)
        items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        for name in METRICS:
            if name in items:
                found[name].append((record.history.step.num, float(items[name])))
    return found


def read_trackio(folder, run):
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    logs = storage.get_logs("jaxparl", f"{run.group}, {run.name} ({run.id})")
    return {name: [(log["step"], log[name]) for log in logs if name in log] for name in METRICS}


def read_mlflow(folder, run):
    client = importlib.import_module("mlflow").MlflowClient(
        tracking_uri=f"sqlite:///{folder}/mlflow.db"
    )
    experiment = client.get_experiment_by_name("jaxparl").experiment_id
    (found,) = client.search_runs([experiment], f"tags.jaxparl_id = '{run.id}'")
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]
        for name in METRICS
    }


READ = {
    "tensorboard": read_tensorboard,
    "wandb": read_wandb,
    "trackio": read_trackio,
    "mlflow": read_mlflow,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of what reads the files
@pytest.mark.parametrize("name", READ)
def test_the_same_metrics_are_read_back_from_the_files_of_each(name, tmp_path, monkeypatch):
    """In a process of its own, as these packages leave threads and warnings behind."""
    # Trackio looks for its place when it is imported, here and there.
    offline = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio")}
    monkeypatch.setenv("TRACKIO_DIR", offline["TRACKIO_DIR"])
    pytest.importorskip(trackers.TRACKERS[name])
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "jaxparl", "train", *SMALL_TREE, "--log", name]
    done = subprocess.run(
        [*command, "--out", str(folder)],
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "has stopped" not in done.stderr
    found = tracking.Tracking(None, folder, "training", runs_of(folder))._tracked()
    for row, run in enumerate(found):
        read = READ[name](folder, run)
        for metric in METRICS:
            iterations, values = curves(folder, metric)
            steps, logged = zip(*read[metric], strict=True)
            assert list(steps) == iterations.tolist()
            np.testing.assert_allclose(logged, values[row], rtol=1e-6)


def runs_of(folder):
    from jaxparl.experiment.run_folder import read_config
    from jaxparl.training.runs import run_of

    return [run_of(labels) for labels in read_config(folder)["runs"]]
