"""A sweep of games, settings and seeds, one run of which diverges: in every file, and merged."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import (
    OF_A_FOLDER,
    SMALL_COIN_GAME,
    SMALL_TREE,
    assert_same_results,
    diverge,
    fails,
    finished,
    train,
)

from jaxparl import cli
from jaxparl.envs import REGISTRY, game_tree
from jaxparl.equilibrium import backward_induction
from jaxparl.experiment import figures
from jaxparl.experiment.job import prepare
from jaxparl.training.runs import RunId
from jaxparl.training.sweep import draw_env_params

SWEEP = (*SMALL_TREE, "--games", "0:2", "--seeds", "0:3", "--sweep", "nudge=0.0,0.5")
LOST = RunId(1, 2, (("nudge", 0.5),))
NAMES = ["tree 0, nudge 0.0", "tree 0, nudge 0.5", "tree 1, nudge 0.0", "tree 1, nudge 0.5"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> tuple[Path, str, list[str]]:
    """The folder of the sweep, what it printed, and the legend of its figure."""
    folder = tmp_path_factory.mktemp("sweep") / "run"
    legends = []
    learning_curves = figures.learning_curves

    def drawn(*arguments):
        figure = learning_curves(*arguments)
        legends.append([text.get_text() for text in figure.legends[0].get_texts()])
        return figure

    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown):
        diverge(patch, [LOST])
        patch.setattr(figures, "learning_curves", drawn)
        patch.setenv("COLUMNS", "200")
        assert train(folder, *SWEEP) == 0
    return folder, shown.getvalue(), legends[0]


def test_every_group_has_its_count_and_values_equal_to_numpys(sweep):
    folder, _, _ = sweep
    arrays = np.load(folder / "metrics.npz")
    groups = json.loads((folder / "summary.json").read_text())["groups"]
    assert [group["name"] for group in groups] == NAMES
    for number, group in enumerate(groups):
        is_last = number == 3
        rows = (arrays["game"] == number // 2) & (arrays["nudge"] == 0.5 * (number % 2))
        rows &= ~np.isnan(arrays["agent_loss"][:, -1])
        assert rows.sum() == (2 if is_last else 3)
        assert group["diverged"] == ([2] if is_last else [])
        for name, metric in group["metrics"].items():
            if name in arrays:
                values = arrays[name][rows, -1].astype(float)
                assert metric["count"] == rows.sum()
                assert metric["mean"] == np.mean(values)
                assert [*filter(None, metric["per_run"].values())] == [*filter(None, values)]


def test_the_table_and_the_figure_have_the_same_groups_and_counts(sweep):
    _, shown, legend = sweep
    counts = ["3 seeds"] * 3 + ["2 of 3 seeds"]
    for name, count in zip(NAMES, counts, strict=True):
        assert any(name in line and f"{count}  " in line for line in shown.splitlines())
    texts = [f"{name} ({count})" for name, count in zip(NAMES, counts, strict=True)]
    assert legend == [*texts[:3], f"{NAMES[3]} (2 of 3 seeds, 1 diverged)", "exact"]


def test_the_parts_of_the_sweep_are_merged_into_the_same(sweep, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        diverge(patch, [LOST])
        for index in range(2):
            assert train(tmp_path, *SWEEP, "--shard", f"{index}/2") == 0
    cli.main(["merge", str(tmp_path)])
    assert_same_results(sweep[0], tmp_path / "merged")


@pytest.fixture
def half_diverged(tmp_path) -> Path:
    """A trained Coin Game of two seeds, the first of which has diverged."""
    folder = tmp_path / "trained"
    shutil.copytree(finished(*SMALL_COIN_GAME, "--validate"), folder)
    arrays = dict(np.load(folder / "metrics.npz"))
    arrays["principal_loss"][0, -1] = np.nan
    np.savez(folder / "metrics.npz", **arrays)
    return folder


def test_principals_that_have_diverged_are_left_out_with_a_warning(half_diverged, tmp_path, capsys):
    place = ("--principal", str(half_diverged), "--out", str(tmp_path / "again"))
    job = cli.parse([*OF_A_FOLDER, *place])
    experiment = prepare(job, REGISTRY["coin_game"].environment(job.settings))
    experiment.folder.close()
    assert experiment.runs == [RunId(0, 1)]
    assert "game 0 seed 0 has diverged" in capsys.readouterr().err


def test_a_folder_of_which_every_principal_has_diverged_is_refused(half_diverged, tmp_path, capsys):
    arrays = dict(np.load(half_diverged / "metrics.npz"))
    arrays["agent_loss"][:, -1] = np.inf
    np.savez(half_diverged / "metrics.npz", **arrays)
    place = ("--principal", str(half_diverged), "--out", str(tmp_path / "again"))
    assert "there is no principal left" in fails(capsys, "train", *OF_A_FOLDER, *place)
    assert not (tmp_path / "again").exists()


def test_a_swept_param_of_the_game_has_an_exact_solution_for_each_value():
    folder = finished(*SMALL_TREE, "--seeds", "0:1", "--sweep", "discount=0.5,1.0")
    arrays = np.load(folder / "metrics.npz")
    assert arrays["discount"].tolist() == [0.5, 1.0]
    env = REGISTRY["game_tree"].environment(game_tree.Settings(depth=3))
    found = arrays["equilibrium_principal_utility"][:, -1]
    for exact, discount in zip(found, (0.5, 1.0), strict=True):
        env_params = draw_env_params(env, 0, {"discount": discount})
        solution = backward_induction(env.tabular(env_params), env.horizon)
        np.testing.assert_allclose(exact, solution.principal_value[0, 0], rtol=1e-6)
    assert found[0] < found[1]


def test_a_param_that_is_given_is_that_of_every_run_and_recorded(tmp_path):
    job = cli.parse([*SMALL_COIN_GAME, "--other-reward", "1", "--stolen-reward", "-2"])
    assert job.env_params == {"other_reward": 1.0, "stolen_reward": -2.0}
    swept = finished(*SMALL_TREE, "--seeds", "0:1", "--sweep", "discount=0.5,1.0")
    alone = finished(*SMALL_TREE, "--seeds", "0:1", "--discount", "0.5")
    (run,) = json.loads((alone / "config.json").read_text())["runs"]
    assert run == {"game": 0, "seed": 0, "discount": 0.5}
    for name in ("equilibrium_principal_utility", "principal_loss"):
        both = (np.load(folder / "metrics.npz")[name][0] for folder in (alone, swept))
        np.testing.assert_array_equal(*both)


def test_principals_are_validated_with_the_params_that_they_were_trained_with(tmp_path, capsys):
    trained = finished(*SMALL_COIN_GAME, "--validate")
    place = ("--principal", str(trained), "--out", str(tmp_path / "again"))
    message = fails(capsys, "train", *OF_A_FOLDER, *place, "--discount", "0.5")
    assert "game 0 seed 0 does not have discount 0.5" in message


def test_a_part_of_which_all_runs_diverge_is_finished_and_merged(tmp_path, capsys):
    lost = [RunId(0, seed, (("nudge", 0.5),)) for seed in (0, 1)]
    sweep = (*SMALL_TREE, "--sweep", "nudge=0.0,0.5")
    with pytest.MonkeyPatch.context() as patch:
        diverge(patch, lost)
        for index in range(2):
            assert train(tmp_path, *sweep, "--shard", f"{index}/2") == 0
    assert "0 of 2 seeds" in capsys.readouterr().out
    cli.main(["merge", str(tmp_path)])
    groups = json.loads((tmp_path / "merged" / "summary.json").read_text())["groups"]
    assert [group["diverged"] for group in groups] == [[], [0, 1]]
