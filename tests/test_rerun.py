"""A run is run again from its config.json."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from command_line import SMALL_COIN_GAME, SMALL_TREE, assert_same_results, fails, finished, train

from jaxparl import cli
from jaxparl.config import Config
from jaxparl.envs.game_tree import Settings
from jaxparl.experiment.rerun import restore

SWEEP = (*SMALL_TREE, "--seeds", "0:1", "--sweep", "nudge=0.0,0.02", "--discount", "0.5")


def test_a_run_is_run_again_to_the_bit(tmp_path):
    first = finished(*SWEEP)
    assert train(tmp_path / "again", "--config", str(first / "config.json")) == 0
    assert_same_results(first, tmp_path / "again")
    recorded = [
        json.loads((path / "config.json").read_text()) for path in (first, tmp_path / "again")
    ]
    assert recorded[0] == recorded[1]


def test_options_beside_it_take_precedence():
    folder = finished(*SMALL_COIN_GAME, "--validate")
    job = cli.parse(["coin_game", "--config", str(folder), "--nudge", "0.5", "--seeds", "3:4"])
    same = cli.parse([*SMALL_COIN_GAME, "--nudge", "0.5"])
    assert job.config == same.config
    assert job.settings == same.settings
    assert (job.options.games, job.options.seeds, job.options.validate) == ("0:1", "3:4", True)
    assert job.options.out is None


def test_what_is_no_config_of_this_game_and_version_is_refused(tmp_path, capsys):
    place = ("--out", str(tmp_path / "again"))
    assert "--config needs a value" in fails(capsys, "train", "--config")
    assert "it has no config.json" in fails(capsys, "train", "--config", str(tmp_path), *place)
    first = finished(*SMALL_TREE)
    message = fails(capsys, "train", "--config", str(first), "--preset", "figure3", *place)
    assert "--config and --preset both say what the defaults are" in message
    message = fails(capsys, "train", "coin_game", "--config", str(first), *place)
    assert "is of a run of game_tree, not of coin_game" in message
    changed = tmp_path / "changed"
    changed.mkdir()
    shutil.copy(first / "config.json", changed)
    content = json.loads((changed / "config.json").read_text())
    for change, says in (
        ({"format": 2, "versions": {"jaxparl": "0.2.0"}}, "was written by jaxparl 0.2.0"),
        ({"settings": {"height": 3}}, "does not fit this version of game_tree"),
        ({"options": 3}, "is damaged"),
        ({"config": {**content["config"], "iterations": -1}}, "iterations must be at least 1"),
    ):
        (changed / "config.json").write_text(json.dumps({**content, **change}))
        assert says in fails(capsys, "train", "--config", str(changed), *place)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("settings", [Settings(depth=3), Config(hidden_sizes=(8, 4))])
def test_settings_are_the_same_after_json(settings):

    content = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert restore(type(settings), content) == settings
