"""Games of several agents from the command line, and the validation of their principals."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from command_line import (
    EVALUATIONS,
    SMALL_COIN_GAME,
    edit_json,
    fails,
    finished,
    train,
)

VALIDATED = (*SMALL_COIN_GAME, "--validate")


def test_principals_are_validated_under_every_scheme():
    folder = finished(*VALIDATED)
    validated = json.loads((folder / "validation.json").read_text())
    followed = validated["principal"]["follow_share"]
    assert len(followed["per_run"]) == 2
    assert 0 < followed["mean"] < 1
    assert validated["cooperative"]["payment_share"]["mean"] == pytest.approx(1.0)
    assert validated["selfish"]["payment"]["mean"] == 0
    with (folder / "validation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 * 2 * EVALUATIONS
    assert rows[0]["scheme"] == "principal"
    welfare = json.loads((folder / "summary.json").read_text())["welfare"]
    assert len(welfare["per_run"]) == 2
    for name in ("figure.png", "episode.gif", "validation.png", "validation.gif"):
        assert (folder / name).stat().st_size > 1000


def test_a_game_without_exact_solutions_is_trained_by_the_same_command(tmp_path, capsys):
    agents = ("--num-agents", "3", "--iterations", "100", "--no-validate")
    assert train(tmp_path / "run", *SMALL_COIN_GAME, *agents) == 0
    shown = capsys.readouterr().out
    assert "welfare" in shown
    assert "to gain" not in shown
    welfare = json.loads((tmp_path / "run" / "summary.json").read_text())["welfare"]
    assert len(welfare["per_run"]) == 2
    assert (tmp_path / "run" / "figure.png").exists()
    assert (tmp_path / "run" / "episode.gif").exists()


def test_saved_principals_are_validated_to_the_bit_as_in_the_run_that_trained_them(tmp_path):
    trained, again = finished(*VALIDATED), tmp_path / "again"
    assert train(again, *SMALL_COIN_GAME, "--principal", str(trained)) == 0
    before, after = (np.load(path / "validation.npz") for path in (trained, again))
    assert set(before) == set(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert not (again / "metrics.npz").exists()


def test_principals_in_a_folder_of_an_older_version_are_validated(tmp_path):
    """What is read of it is as it was: the game, its settings, the runs and their weights."""
    old = tmp_path / "old"
    shutil.copytree(finished(*VALIDATED), old)
    config = json.loads((old / "config.json").read_text())
    learning = dict(config["config"])
    learning["rates"] = learning.pop("hyper_params")
    del config["format"]
    content = {**config, "config": learning, "versions": {"jaxparl": "0.1.0"}}
    (old / "config.json").write_text(json.dumps(content))
    assert train(tmp_path / "again", *SMALL_COIN_GAME, "--principal", str(old)) == 0
    before, after = (np.load(path / "validation.npz") for path in (old, tmp_path / "again"))
    np.testing.assert_array_equal(before["welfare"], after["welfare"])


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
    assert message in fails(capsys, "train", *SMALL_COIN_GAME, *principal, *change)
    assert not (tmp_path / "again").exists()


def test_principals_that_have_diverged_are_not_validated(tmp_path):
    """They are known by their curves, here of a run that is to be validated later."""
    folder = tmp_path / "run"
    shutil.copytree(finished(*VALIDATED), folder)
    for path in folder.glob("validation.*"):
        path.unlink()
    arrays = dict(np.load(folder / "metrics.npz"))
    arrays["agent_loss"][0, -1] = np.nan
    np.savez(folder / "metrics.npz", **arrays)
    edit_json(folder / "config.json", validate=True)
    assert train(folder, *VALIDATED, "--resume", "auto") == 0
    assert np.unique(np.load(folder / "validation.npz")["seed"]).tolist() == [1]
