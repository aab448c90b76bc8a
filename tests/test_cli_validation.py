"""Games of several agents from the command line, and the validation of their principals."""

from __future__ import annotations

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from command_line import (
    EVALUATIONS,
    OF_A_FOLDER,
    SMALL_COIN_GAME,
    fails,
    finished,
    train,
)
from stock_games import registered

from jaxparl import cli
from jaxparl.envs import REGISTRY
from jaxparl.experiment import run as running
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.experiment.job import prepare
from jaxparl.training import make_train
from jaxparl.training.runs import RunId

VALIDATED = (*SMALL_COIN_GAME, "--validate")


def test_principals_are_validated_under_every_scheme():
    folder = finished(*VALIDATED)
    groups = json.loads((folder / "validation.json").read_text())["groups"]
    validated = {group["name"]: group["metrics"] for group in groups}
    assert groups[0]["labels"] == {"scheme": "principal", "game": 0}
    followed = validated["principal"]["followed_share"]
    assert followed["count"] == len(followed["per_run"]) == 2
    assert 0 < followed["mean"] < 1
    assert validated["cooperative"]["payment_share"]["mean"] == pytest.approx(1.0)
    assert validated["selfish"]["payment"]["mean"] == 0
    assert validated["selfish"]["followed_share"]["count"] == 0
    with (folder / "validation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 * 2 * EVALUATIONS
    assert rows[0]["scheme"] == "principal"
    (trained,) = json.loads((folder / "summary.json").read_text())["groups"]
    assert len(trained["metrics"]["welfare"]["per_run"]) == 2
    for name in ("figure.png", "episode.gif", "validation.png", "validation.gif"):
        assert (folder / name).stat().st_size > 1000


@pytest.mark.slow
def test_a_game_without_a_table_is_validated_by_episodes(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "stock", registered())
    folder = tmp_path / "run"
    hidden = ("--no-is-observed", "--games", "0:1", "--seeds", "0:1", "--iterations", "80")
    assert train(folder, "stock", *hidden) == 0
    shown = capsys.readouterr().out
    assert "nobody can be paid for following: validated without a nudge" in shown
    assert "estimated from 80 episodes of each run" in shown
    groups = json.loads((folder / "validation.json").read_text())["groups"]
    validated = {group["name"]: group["metrics"] for group in groups}
    assert list(validated) == ["principal", "constant", "cooperative", "selfish", "best response"]
    for name in ("principal_utility", "welfare", "payment", "payment_share"):
        assert validated["principal"][name]["count"] == 1
        assert validated["principal"][name]["per_run_se"]["0"] >= 0
        assert validated["best response"][name]["count"] == 0
    assert validated["principal"]["welfare"]["per_run_se"]["0"] > 0
    for name in ("principal", "best response"):
        assert validated[name]["deviation_gain"]["count"] == 1
        assert validated[name]["own_over_recommended_following"]["count"] == 1
    (trained,) = json.loads((folder / "summary.json").read_text())["groups"]
    assert trained["metrics"]["payment"]["per_run_se"]["0"] >= 0
    with (folder / "validation.csv").open() as stream:
        columns = next(csv.reader(stream))
    assert columns.index("welfare_se") == columns.index("welfare") + 1
    for name in ("figure.png", "validation.png"):
        assert (folder / name).stat().st_size > 1000


def three_agents() -> tuple[str, ...]:
    return (*SMALL_COIN_GAME, "--num-agents", "3", "--no-validate")


def test_three_agents_are_trained_by_the_same_program():
    job = cli.parse(three_agents())
    env = REGISTRY["coin_game"].environment(job.settings)
    trained = jax.eval_shape(make_train(job.config, env, env.default_params), jax.random.key(0))
    assert trained.metrics.welfare.shape == (EVALUATIONS,)


@pytest.mark.slow
def test_a_game_without_exact_solutions_is_trained_by_the_same_command(tmp_path, capsys):
    assert train(tmp_path / "run", *three_agents()) == 0
    shown = capsys.readouterr().out
    assert "welfare" in shown
    assert "to gain" not in shown
    (group,) = json.loads((tmp_path / "run" / "summary.json").read_text())["groups"]
    assert group["metrics"]["welfare"]["count"] == 2
    assert (tmp_path / "run" / "figure.png").exists()
    assert (tmp_path / "run" / "episode.gif").exists()


def test_saved_principals_are_validated_to_the_bit_as_in_the_run_that_trained_them(tmp_path):
    trained, again = finished(*VALIDATED), tmp_path / "again"
    assert train(again, *OF_A_FOLDER, "--principal", str(trained)) == 0
    before, after = (np.load(path / "validation.npz") for path in (trained, again))
    assert set(before) == set(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert not (again / "metrics.npz").exists()


def test_principals_in_a_folder_of_an_older_version_are_read(tmp_path):
    """What is read of it is as it was: the game, its settings, the runs and their weights."""
    old = tmp_path / "old"
    shutil.copytree(finished(*VALIDATED), old)
    config = json.loads((old / "config.json").read_text())
    learning = dict(config["config"])
    learning["rates"] = learning.pop("hyper_params")
    del config["format"]
    content = {**config, "config": learning, "versions": {"jaxparl": "0.1.0"}}
    (old / "config.json").write_text(json.dumps(content))
    place = ("--principal", str(old), "--out", str(tmp_path / "again"))
    job = cli.parse([*OF_A_FOLDER, *place])
    experiment = prepare(job, REGISTRY["coin_game"].environment(job.settings))
    experiment.folder.close()
    assert experiment.saved is not None
    assert experiment.saved.runs == [RunId(0, 0), RunId(0, 1)]
    weights = load_weights(finished(*VALIDATED) / "checkpoints" / "final")
    jax.tree.map(np.testing.assert_array_equal, vars(experiment.saved.weights), vars(weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--grid-size", "3"), "are of another game: settings.grid_size was 2, not 3"),
        (("--view", "board"), 'are of another game: settings.view was "centred", not'),
        (("--hidden-sizes", "8"), "not of this game, or has other networks"),
    ],
)
def test_principals_of_another_game_are_refused(change, message, capsys, tmp_path):
    principal = ("--principal", str(finished(*VALIDATED)), "--out", str(tmp_path / "again"))
    assert message in fails(capsys, "train", *OF_A_FOLDER, *principal, *change)
    assert not (tmp_path / "again").exists()


def test_principals_that_have_diverged_are_not_validated(tmp_path, monkeypatch):
    """They are known by their curves, here of a run whose validation is missing."""
    folder = tmp_path / "run"
    shutil.copytree(finished(*VALIDATED), folder)
    (folder / "validation.json").unlink()
    arrays = dict(np.load(folder / "metrics.npz"))
    arrays["agent_loss"][0, -1] = np.nan
    np.savez(folder / "metrics.npz", **arrays)
    given = []

    def compile_validation(config, env, runs, weights, lanes, *, components):
        given.append((runs, weights))
        raise FloatingPointError("this is far enough")

    monkeypatch.setattr(running, "compile_validation", compile_validation)
    assert train(folder, *VALIDATED, "--resume", "auto") == 1
    ((runs, weights),) = given
    assert runs == [RunId(game_id=0, seed=1)]
    every = load_weights(folder / "checkpoints" / "final")
    jax.tree.map(
        lambda own, leaf: np.testing.assert_array_equal(own, leaf[1:]), vars(weights), vars(every)
    )
