"""A trained principal is an object: read from a folder, asked for offers, and saved."""

from __future__ import annotations

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from command_line import (
    OF_A_FOLDER,
    SMALL_COIN_GAME,
    SMALL_TREE,
    edit_json,
    finished,
    stopped_tree,
    train,
)

import jaxparl
from jaxparl.evaluation.offers import learned_offers
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.experiment.run_folder import read_config
from jaxparl.learning.learner import make_learner
from jaxparl.training.runs import RunId, run_of
from jaxparl.training.sweep import draw_env_params, select_run

# As in test_cli_groups: it is trained once.
SWEPT = (*SMALL_TREE, "--seeds", "0:1", "--sweep", "discount=0.5,1.0")


@pytest.fixture
def copied(tmp_path):
    """The folder of a small tree of two seeds, to change."""
    shutil.copytree(finished(*SMALL_TREE), tmp_path / "run")
    return tmp_path / "run"


def test_it_offers_what_its_weights_offer_in_every_state_under_vmap_and_jit():
    folder = finished(*SMALL_COIN_GAME, "--validate")
    principal = jaxparl.load(folder).run(1)
    states = principal.env.exact.states()
    offered = jax.jit(jax.vmap(principal.offer))(states)  # over S
    weights = select_run(load_weights(folder / "checkpoints" / "final"), 1)
    learner = make_learner(principal.problem)
    expected = jax.jit(lambda weights: learned_offers(learner, weights))(weights)
    np.testing.assert_array_equal(offered.recommendation, expected.recommendation)
    np.testing.assert_allclose(
        offered.contract.payments, expected.contract.payments, rtol=1e-5, atol=1e-6
    )
    first = jax.tree.map(lambda leaf: leaf[0], states)
    np.testing.assert_array_equal(principal.act(first), expected.recommendation[0])


def test_every_run_has_its_own_game_and_settings():
    principals = jaxparl.load(finished(*SWEPT))
    np.testing.assert_array_equal(principals.env_params.discount, [0.5, 1.0])
    assert principals.config.hidden_sizes == (16, 16)
    for number, discount in enumerate((0.5, 1.0)):
        principal = principals.run(discount=discount)
        assert principal.runs == (RunId(0, 0, (("discount", discount),)),)
        own = draw_env_params(principal.env, 0, {"discount": np.float32(discount)})
        jax.tree.map(np.testing.assert_array_equal, principal.problem.env_params, own)
        for one, both in zip(
            *map(jax.tree.leaves, (principal.weights, principals.weights)), strict=True
        ):
            np.testing.assert_array_equal(one[0], both[number])
    with pytest.raises(ValueError, match=r"none of the runs has discount 0.75; there is: 0 \(game"):
        principals.run(discount=0.75)


def test_a_run_is_chosen_by_its_number_or_by_its_labels():
    principals = jaxparl.load(finished(*SMALL_TREE))
    assert principals.run(1).runs == principals.run(seed=1, game=0).runs == (RunId(0, 1),)
    assert jaxparl.load(finished(*SWEPT)).run(0).run().runs[0].seed == 0
    for choose, message in (
        (lambda: principals.run(), "say which run; there is: 0 .game 0 seed 0., 1 .game 0 seed 1."),
        (lambda: principals.run(2), "there is no run 2, but 0 .game 0 seed 0."),
        (lambda: principals.run(game=0), "2 of the runs has game 0; there is: 0"),
        (lambda: principals.run(0, seed=1), "none of the runs has seed 1"),
        (lambda: principals.run(nudge=0.5), "the runs have no 'nudge'; they have: game, seed"),
        (lambda: principals.act(None), "choose one run by run.number. or by its labels: 0"),
    ):
        with pytest.raises(ValueError, match=message):
            choose()


@pytest.mark.parametrize("chosen", ["all", "one"])
def test_what_is_saved_is_loaded_again(chosen, tmp_path):
    principals = jaxparl.load(finished(*SMALL_COIN_GAME, "--validate"))
    held = principals if chosen == "all" else principals.run(1)
    held.save(tmp_path / "saved")
    again = jaxparl.load(tmp_path / "saved")
    assert (again.runs, again.config, again.env) == (held.runs, held.config, held.env)
    jax.tree.map(np.testing.assert_array_equal, again.weights, held.weights)
    jax.tree.map(np.testing.assert_array_equal, dict(again.curves), dict(held.curves))
    with pytest.raises(FileExistsError, match="is not empty"):
        held.save(tmp_path / "saved")


def test_a_saved_principal_is_validated_as_it_was(tmp_path):
    folder = finished(*SMALL_COIN_GAME, "--validate")
    jaxparl.load(folder).save(tmp_path / "saved")
    assert train(tmp_path / "again", *OF_A_FOLDER, "--principal", str(tmp_path / "saved")) == 0
    arrays, before = (np.load(path / "validation.npz") for path in (tmp_path / "again", folder))
    np.testing.assert_array_equal(arrays["welfare"], before["welfare"])


def test_a_run_that_has_diverged_is_not_chosen(copied, tmp_path):
    arrays = dict(np.load(copied / "metrics.npz"))
    arrays["principal_loss"][0, -1] = np.nan
    np.savez(copied / "metrics.npz", **arrays)
    principals = jaxparl.load(copied)
    assert principals.lost == (RunId(0, 0),)
    with pytest.raises(ValueError, match="game 0 seed 0 has diverged"):
        principals.run(seed=0)
    principals.run(seed=1).save(tmp_path / "saved")
    assert jaxparl.load(tmp_path / "saved").lost == ()
    arrays["agent_loss"][:, -1] = np.inf
    np.savez(copied / "metrics.npz", **arrays)
    with pytest.raises(ValueError, match=r"every run in .* has diverged"):
        jaxparl.load(copied)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"format": 2, "versions": {"jaxparl": "0.2.0"}}, ValueError, "was written by jaxparl 0.2"),
        ({"principal": "runs/1"}, ValueError, "it validates those of runs/1"),
        ({"environment": "chess"}, ValueError, "unknown environment 'chess'.* say so by game="),
        ({"settings": {"height": 3}}, ValueError, "is damaged, or of another version of its game"),
        ({"settings": {"depth": 4}}, ValueError, "is not of this game, or has other networks"),
        ({"config": {"hidden_sizes": [8]}}, ValueError, "is not of this game, or has other networ"),
    ],
)
def test_what_is_not_a_finished_run_of_its_game_is_refused(changes, error, message, copied):
    edit_json(copied / "config.json", **changes)
    with pytest.raises(error, match=message):
        jaxparl.load(copied)


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in"):
        jaxparl.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"is not finished: it has no metrics\.npz"):
        jaxparl.load(stopped_tree())


def test_a_game_that_is_elsewhere_now_can_be_named(copied, tmp_path):
    gone = {"door": f"{tmp_path}/gone.py:Tree", "file": f"{tmp_path}/gone.py", "sha256": "0"}
    edit_json(copied / "config.json", source=gone)
    with pytest.raises(ValueError, match=r"there is no file .*/gone.py. It is the game of .*game="):
        jaxparl.load(copied)
    assert len(jaxparl.load(copied, game="game_tree").runs) == 2
    with pytest.raises(ValueError, match="is of a run of game_tree, not of coin_game"):
        jaxparl.load(copied, game="coin_game")


def test_the_runs_are_those_of_the_config():
    folder = finished(*SMALL_TREE)
    principals = jaxparl.load(folder)
    recorded = json.loads((folder / "config.json").read_text())
    assert list(principals.runs) == [run_of(labels) for labels in recorded["runs"]]
    assert principals.recorded == read_config(folder)
    assert dataclasses.asdict(principals.env.settings)["depth"] == 3
