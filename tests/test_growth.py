"""A finished run goes on: for more iterations, or with more runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from command_line import (
    SMALL_COIN_GAME,
    SMALL_TREE,
    assert_same_results,
    contents,
    finished,
    read_summary,
    stop_after,
    stopped_tree,
    train,
)

from jaxparl.config import Config, HyperParams
from jaxparl.experiment import growth
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.experiment.growth import scheduled
from jaxparl.training.runs import RunId, grid

# Without any schedule a run does not depend on how long it will be.
CONSTANT = (
    *("--learning-rate-final", "1e-3", "--principal-learning-rate-final", "1e-3"),
    *("--epsilon-final", "1", "--principal-target-window", "0"),
)
LONG = (*SMALL_TREE, *CONSTANT)
SHORT = (*LONG, "--iterations", "200")


def copy_of(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def assert_same_weights(one: Path, other: Path) -> None:
    weights = [vars(load_weights(path / "checkpoints" / "final")) for path in (one, other)]
    jax.tree.map(np.testing.assert_array_equal, *weights)


def test_a_finished_run_that_goes_on_is_the_longer_run_to_the_bit(tmp_path, capsys):
    folder = copy_of(finished(*SHORT), tmp_path / "run")
    assert train(folder, *LONG, "--resume", "auto") == 0
    assert "the run that is there goes on from iteration 200" in capsys.readouterr().out
    assert_same_results(folder, finished(*LONG))
    assert_same_weights(folder, finished(*LONG))
    assert json.loads((folder / "config.json").read_text())["config"]["iterations"] == 400


@pytest.mark.slow
def test_where_schedules_end_with_the_run_it_goes_on_only_if_told_to(tmp_path, capsys):
    short = (*SMALL_TREE, "--iterations", "200")
    folder = copy_of(finished(*short), tmp_path / "run")
    before = contents(folder)
    assert train(folder, *SMALL_TREE, "--resume", "auto") == 2
    message = capsys.readouterr().err
    assert "learning_rate_final, principal_learning_rate_final, epsilon_final" in message
    assert "--resume extend" in message
    assert contents(folder) == before
    assert train(folder, *SMALL_TREE, "--resume", "extend") == 0
    long, whole = (np.load(path / "metrics.npz") for path in (folder, finished(*SMALL_TREE)))
    assert long["iteration"].tolist() == whole["iteration"].tolist() == [100, 200, 300, 400]
    past = np.load(finished(*short) / "metrics.npz")
    np.testing.assert_array_equal(long["utility_ratio"][:, :2], past["utility_ratio"])
    assert (long["agent_loss"][:, 2:] != whole["agent_loss"][:, 2:]).any()
    # Others would not be like them, and nor are the runs of a sweep that was longer at once.
    assert train(folder, *SMALL_TREE, "--seeds", "0:3", "--resume", "auto") == 2
    assert "went on after 200 iterations" in capsys.readouterr().err
    assert json.loads((folder / "config.json").read_text())["extended_after"] == [200]
    assert train(folder, *SMALL_TREE, "--resume", "auto") == 0
    assert "finished already" in capsys.readouterr().out


def test_a_run_that_stopped_while_it_went_on_is_resumed(tmp_path):
    folder = copy_of(finished(*SHORT), tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1)
        assert train(folder, *LONG, "--resume", "auto") == 128 + 15
    assert train(folder, *LONG, "--resume", "auto") == 0
    assert_same_results(folder, finished(*LONG))


def test_a_run_that_is_not_finished_does_not_go_on_to_more(tmp_path, capsys):
    folder = copy_of(stopped_tree(), tmp_path / "run")
    before = contents(folder)
    longer = (*SMALL_TREE, "--iterations", "800", "--resume", "extend")
    assert train(folder, *longer) == 2
    assert "is not finished; finish it as it is" in capsys.readouterr().err
    assert contents(folder) == before


def test_fewer_iterations_or_other_settings_are_still_refused(tmp_path, capsys):
    folder = copy_of(finished(*LONG), tmp_path / "run")
    for change, says in (
        (("--iterations", "200"), "config.iterations was 400, not 200"),
        (("--nudge", "0.5", "--iterations", "800"), "config.hyper_params.nudge"),
    ):
        assert train(folder, *LONG, *change, "--resume", "auto") == 2
        assert says in capsys.readouterr().err


def test_a_run_whose_state_is_gone_cannot_go_on(tmp_path, capsys):
    folder = copy_of(finished(*SHORT), tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "training")
    before = contents(folder)
    assert train(folder, *LONG, "--resume", "auto") == 2
    assert "the state after the last iteration is not in" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--seeds", "0:3"), "adding 1 run to the 2 that are there"),
        (("--seeds", "0:2", "--games", "0:2"), "adding 2 runs to the 2 that are there"),
    ],
)
def test_runs_that_are_added_make_the_larger_sweep_to_the_bit(more, says, tmp_path, capsys):
    folder = copy_of(finished(*SMALL_TREE), tmp_path / "run")
    assert train(folder, *SMALL_TREE, *more, "--resume", "auto") == 0
    assert says in capsys.readouterr().out
    whole = finished(*SMALL_TREE, *more)
    assert_same_results(folder, whole)
    assert_same_weights(folder, whole)
    assert not (folder / "added").exists() and not (folder / "joined").exists()
    assert train(folder, *SMALL_TREE, *more, "--resume", "auto") == 0
    assert "finished already" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_added_goes_between_the_runs_that_are_there(tmp_path):
    """A third value is swept, and the seeds of each value stay side by side."""
    sweep = ("--sweep", "nudge=0.0,0.02")
    folder = copy_of(finished(*SMALL_TREE, *sweep), tmp_path / "run")
    wider = ("--sweep", "nudge=0.0,0.01,0.02")
    assert train(folder, *SMALL_TREE, *wider, "--resume", "auto") == 0
    assert_same_results(folder, finished(*SMALL_TREE, *wider))


@pytest.mark.slow
def test_added_runs_are_validated_and_joined_with_those_that_were(tmp_path):
    alone = (*SMALL_COIN_GAME, "--validate", "--seeds", "1:2")
    folder = copy_of(finished(*alone), tmp_path / "run")
    assert train(folder, *SMALL_COIN_GAME, "--validate", "--resume", "auto") == 0
    whole = finished(*SMALL_COIN_GAME, "--validate")
    assert read_summary(folder, "validation") == read_summary(whole, "validation")
    assert_same_weights(folder, whole)


def test_a_stop_while_runs_are_added_loses_nothing(tmp_path, monkeypatch):
    folder = copy_of(finished(*SMALL_TREE), tmp_path / "run")
    more = (*SMALL_TREE, "--seeds", "0:3", "--resume", "auto")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 2)
        assert train(folder, *more) == 128 + 15
    assert train(folder, *SMALL_TREE, "--resume", "auto") == 0, "the smaller run is still there"
    with pytest.MonkeyPatch.context() as patch:
        replace = Path.replace

        def fail_in_the_middle(self, target):
            if self.name == "metrics.npz" and self.parent.name == "joined":
                raise OSError("stopped in the middle")
            return replace(self, target)

        patch.setattr(Path, "replace", fail_in_the_middle)
        assert train(folder, *more) == 1
    assert train(folder, *more) == 0
    assert_same_results(folder, finished(*SMALL_TREE, "--seeds", "0:3"))


def test_an_unfinished_run_gets_no_others(tmp_path, capsys):
    folder = copy_of(finished(*SMALL_TREE), tmp_path / "run")
    (folder / "summary.json").unlink()
    assert train(folder, *SMALL_TREE, "--seeds", "0:3", "--resume", "auto") == 2
    assert "is not finished" in capsys.readouterr().err
    both = ("--seeds", "0:3", "--iterations", "800", "--resume", "auto")
    assert train(folder, *SMALL_TREE, *both) == 2
    assert "lacks iterations as well as runs" in capsys.readouterr().err


def test_schedules_are_those_that_differ_in_any_run():
    constant = HyperParams(
        learning_rate_final=1e-3, principal_learning_rate_final=1e-3, epsilon_final=1.0
    )
    config = Config(hyper_params=constant, principal_target_window=0.0)
    assert scheduled(config, [RunId(0, 0)]) == []
    assert scheduled(config, grid([0], [0], {"epsilon": [1.0, 0.5]})) == ["epsilon_final"]
    learned = Config(hyper_params=constant, outcome_model="learned")
    assert scheduled(learned, [RunId(0, 0)]) == ["outcome_learning_rate", "principal_target_window"]


def test_a_sweep_of_which_parts_are_trained_does_not_grow():
    recorded = {
        "config": {"iterations": 400},
        "runs": [{"game": 0, "seed": 0}],
        "of_runs": [{"game": 0, "seed": seed} for seed in (0, 1)],
        "shard": [0, 2],
    }
    asked = {**recorded, "runs": [{"game": 0, "seed": seed} for seed in (0, 1)]}
    assert growth.growth_of(recorded, asked, grid([0], [0, 1])) is None
