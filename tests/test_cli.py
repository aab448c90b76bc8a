"""The command line: bad input costs one line and nothing else; a run leaves a complete folder."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import EVALUATIONS, SMALL_TREE, diverge, fails, finished, train

from jaxparl import cli
from jaxparl.config import Config
from jaxparl.envs import REGISTRY
from jaxparl.evaluation.episodes import NUM_EPISODES
from jaxparl.experiment import stage
from jaxparl.experiment.checkpoint import load_weights
from jaxparl.training.runs import RunId


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["game_tree", "--depth", "0"], "depth must be between 1 and 16, not 0"),
        (["game_tree", "--depth", "40"], "depth must be between 1 and 16, not 40"),
        (["game_tree", "--depth", "deep"], "deep"),
        (["game_tree", "--nudge", "-0.1"], "nudge must be >= 0, not -0.1"),
        (["game_tree", "--nudge", "nan"], "nudge must be >= 0, not nan"),
        (["game_tree", "--outcome-probs", "0.9", "0.2", "0.1", "0.9"], "must sum to 1"),
        (["game_tree", "--outcome-probs", "nan", "0.1", "0.1", "0.9"], "must be finite"),
        (["game_tree", "--seeds", "5:2"], "--seeds must be A:B with 0 <= A < B"),
        (["game_tree", "--games", "three"], "--games must be A:B"),
        (["game_tree", "--iterations", "1001"], "iterations must be a multiple of"),
        (["game_tree", "--batch-size", "0"], "batch_size must be at least 1"),
        (["game_tree", "--learning-rate", "0"], "learning_rate must be > 0"),
        (["game_tree", "--critic", "guess"], "guess"),
        (["game_tree", "--follow-share", "2"], "follow_share must be > 0 and at most 1"),
        (["coin_game", "--follow-share", "0"], "follow_share must be > 0 and at most 1"),
        (["coin_game", "--alpha", "0"], "alpha must be > 0"),
        (["coin_game", "--alpha", "-0.1"], "alpha must be > 0"),
        (["coin_game", "--principal", "nowhere"], "no run in nowhere"),
        (["coin_game", "--principal", "a", "--seeds", "0:1"], "is in a; leave out --seeds"),
        (["coin_game", "--games=0:1", "--principal", "a"], "is in a; leave out --games"),
        (["coin_game", "--principal", "a", "--sweep", "nudge=1"], "is in a; leave out --sweep"),
        (["game_tree", "--max-gradient-norm", "0"], "max_gradient_norm must be > 0"),
        (["game_tree", "--priority-exponent", "-1"], "priority_exponent must be between 0 and 1"),
        (["game_tree", "--priority-floor", "0"], "priority_floor must be > 0"),
        (["coin_game", "--grid-size", "1"], "grid_size must be between 2 and 15, not 1"),
        (["coin_game", "--num-agents", "9", "--grid-size", "3"], "num_agents must be between"),
        (["coin_game", "--shared-coin", "nobody"], "nobody"),
        (["game_tree", "--shard", "0/2"], "--shard needs --out"),
        (["game_tree", "--distributed", "h:1,0/1"], "--distributed needs --out"),
        (["game_tree", "--preset"], "--preset"),
    ],
)
def test_bad_input_gets_one_clear_message_and_code_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, "train", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "unknown command 'fly'; there is: train, plan, check, merge, show, export, help"),
        (["game_tree"], "unknown command 'game_tree'; there is: train, plan, check"),
        (["train", "go_fish"], "unknown environment 'go_fish'; there is: game_tree, coin_game"),
        (["plan", "go_fish"], "unknown environment 'go_fish'; there is: game_tree, coin_game"),
        (["train", "--seeds", "0:2"], "name a game before its options, one of: game_tree, coin_"),
        (["train", "game_tree", "--preset", "figure99"], "no preset 'figure99'; it has: quick, "),
        (["train", "game_tree", "--grid-size", "3"], "game_tree has no option --grid-size; "),
        (["train", "coin_game", "--depth=3"], "coin_game has no option --depth; "),
        (["train", "game_tree", "--colour", "red"], "it has: --preset, --config, --games, "),
        (["plan", "game_tree", "--seed", "0:2"], "did you mean --seeds? It has: --preset, "),
        (["train", "game_tree", "16"], "unexpected argument '16'"),
        (["plan", "coin_game", "--principal", "runs/1"], "plan reads no --principal"),
    ],
)
def test_what_is_unknown_is_named_in_one_line_with_all_that_there_is(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


def help_of(*arguments: str) -> str:
    """What is printed on a terminal of 80 columns."""
    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        pytest.raises(SystemExit) as stop,
    ):
        patch.setenv("COLUMNS", "80")
        cli.main(arguments)
    assert stop.value.code == 0
    return printed.getvalue()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("train", "--help"), ("plan", "--help")])
def test_the_first_helps_fit_on_a_small_screen(arguments):
    lines = help_of(*arguments).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_jaxparl_alone_prints_its_help_and_teaches_where_to_go_on():
    overview = help_of()
    assert overview == help_of("--help") == help_of("-h") == help_of("help")
    assert overview.startswith("usage: jaxparl ")
    for text in ("train", "plan", "merge", "train.py", "jaxparl train --help"):
        assert text in overview


@pytest.mark.parametrize("command", ["train", "plan"])
def test_the_help_of_a_command_has_a_line_for_every_game(command):
    shown = help_of(command)
    assert shown == help_of(command, "--help")
    assert shown.startswith(f"usage: jaxparl {command} ")
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for name, entry in REGISTRY.items():
        assert f"{name} {entry.summary}" in lines
    assert "GAME --help has all options:" in shown


@pytest.mark.parametrize("command", ["train", "plan"])
@pytest.mark.parametrize("game", ["game_tree", "coin_game"])
def test_the_help_of_a_game_has_all_of_its_options(command, game):
    shown = help_of(command, game, "--help")
    assert shown.startswith(f"usage: jaxparl {command} {game} ")
    assert "train.py" not in shown
    options = {word for word in shown.replace(",", " ").split() if word.startswith("--")}
    assert {"--preset", "--seeds", "--iterations", "--nudge", "--validate"} <= options
    assert ("--depth" in options) == (game == "game_tree")
    words = " ".join(shown.split())
    for preset, described in REGISTRY[game].presets.items():
        assert f" {preset} {described.summary} " in words
    for other in set(REGISTRY) - {game}:
        assert REGISTRY[other].summary not in words


def test_the_help_of_a_game_shows_the_defaults_of_a_preset():
    shown = " ".join(help_of("train", "coin_game", "--preset", "figure2", "--help").split())
    assert "(default: 1000000)" in shown
    assert "(default: figure2)" in shown


@pytest.mark.parametrize("game", ["game_tree", "coin_game"])
def test_a_preset_supplies_defaults_and_options_beside_it_win(game):
    for name, preset in REGISTRY[game].presets.items():
        job = cli.parse([game, "--preset", name])
        assert (job.settings, job.config) == (preset.settings, preset.config)
        assert (job.options.games, job.options.seeds) == (preset.games, preset.seeds)
        assert job.options.validate == preset.validate
        job = cli.parse([game, "--seeds", "7:9", "--preset", name, "--nudge=0.5", "--no-validate"])
        assert job.options.seeds == "7:9"
        assert not job.options.validate
        hyper_params = dataclasses.replace(preset.config.hyper_params, nudge=0.5)
        assert job.config == dataclasses.replace(preset.config, hyper_params=hyper_params)


def test_a_folder_that_holds_something_is_left_as_it_is(capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years of work")
    assert "is not empty" in fails(capsys, "train", "game_tree", "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written_to_is_known_before_training(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    nested = str(tmp_path / "file" / "run")
    assert "file" in fails(capsys, "train", "game_tree", "--out", nested)
    # Nobody can make a folder here, whoever runs the tests.
    assert "/proc" in fails(capsys, "train", "game_tree", "--out", "/proc/jaxparl")


def test_a_run_leaves_a_complete_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    assert train(folder, *SMALL_TREE) == 0
    shown = capsys.readouterr().out
    assert "iterations/s" in shown
    assert "left" in shown
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".lock", "config.json", "metrics.csv", "metrics.npz", "summary.json", "figure.png",
        "checkpoints",
    }  # fmt: skip
    # The weights, and the state after the last evaluation, from which training can go on.
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"final", "training"}
    assert [path.name for path in (folder / "checkpoints" / "training").iterdir()] == ["4"]
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["depth"] == 3
    assert config["config"]["hyper_params"]["nudge"] == Config().hyper_params.nudge
    arrays = np.load(folder / "metrics.npz")
    assert arrays["utility_ratio"].shape == (2, EVALUATIONS)
    (group,) = json.loads((folder / "summary.json").read_text())["groups"]
    assert (group["name"], group["labels"], group["seeds"]) == ("tree 0", {"game": 0}, [0, 1])
    ratio, last = group["metrics"]["utility_ratio"], arrays["utility_ratio"][:, -1]
    assert ratio["per_run"] == {"0": last[0], "1": last[1]}
    np.testing.assert_allclose(ratio["mean"], np.mean(last))
    assert (ratio["count"], ratio["iqm"], ratio["ci_low"]) == (2, None, None)
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * EVALUATIONS
    csv_last = [float(row["utility_ratio"]) for row in rows if row["iteration"] == "400"]
    np.testing.assert_allclose(csv_last, last, rtol=1e-6)
    weights = load_weights(folder / "checkpoints" / "final")
    assert weights.agent["params"]["Embed_0"]["embedding"].shape == (2, 7, 16)


def test_a_run_that_diverges_is_named_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    whole = np.load(finished(*SMALL_TREE) / "metrics.npz")
    diverge(monkeypatch, [RunId(0, 1)])
    assert train(tmp_path / "run", *SMALL_TREE) == 0
    message = capsys.readouterr().err
    assert "game 0 seed 1 has diverged: principal_loss is nan at iteration 400" in message
    assert "seed 0 has diverged" not in message
    curves = np.load(tmp_path / "run" / "metrics.npz")
    assert np.isnan(curves["utility_ratio"][1, -1])
    np.testing.assert_array_equal(curves["utility_ratio"][0], whole["utility_ratio"][0])
    np.testing.assert_array_equal(curves["utility_ratio"][1, :-1], whole["utility_ratio"][1, :-1])


def test_episodes_that_never_end_are_named_and_are_no_divergence(tmp_path, capsys, monkeypatch):
    run = stage.sweep.run

    def unfinished(*arguments):
        for progress in run(*arguments):
            utility = np.array(progress.metrics.principal_utility)
            utility[1] = np.nan
            found = vars(progress.metrics) | {
                "principal_utility": utility,
                "episodes": np.where(np.isnan(utility), NUM_EPISODES - 1, NUM_EPISODES),
            }
            yield progress._replace(metrics=SimpleNamespace(**found))

    monkeypatch.setattr(stage.sweep, "run", unfinished)
    assert train(tmp_path / "run", *SMALL_TREE) == 0
    message = capsys.readouterr().err
    assert message.count("game 0 seed 1 has no evaluation at iteration 100") == 1
    assert "diverged" not in message
    (group,) = json.loads((tmp_path / "run" / "summary.json").read_text())["groups"]
    assert group["metrics"]["principal_utility"]["count"] == 1
    assert group["diverged"] == []


def test_where_every_run_diverges_training_stops_and_what_was_found_is_kept(
    tmp_path, capsys, monkeypatch
):
    diverge(monkeypatch, [RunId(0, 0), RunId(0, 1)])
    assert train(tmp_path / "run", *SMALL_TREE) == 1
    assert "error: every run has diverged" in capsys.readouterr().err
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 2 * EVALUATIONS
    assert not (tmp_path / "run" / "summary.json").exists()


def test_train_py_runs_from_the_root():
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "train.py", "go_fish"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: unknown environment 'go_fish'; there is: {', '.join(REGISTRY)}; a game of your "
        "own is named by its class, package.module:Class or ./file.py:Class\n"
    )
