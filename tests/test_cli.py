"""The command line: bad input costs one line and nothing else; a run leaves a whole folder."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxparl import cli, selection, training
from jaxparl.checkpoint import load_weights
from jaxparl.config import Config

TINY = (
    *("--depth", "3", "--iterations", "400", "--evaluation-interval", "200"),
    *("--replay-capacity", "1600", "--hidden-sizes", "16", "16"),
)


def fails(capsys, *arguments: str) -> str:
    """Runs the command line on bad input; returns what it says."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", *arguments])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    return shown.out + shown.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["go_fish"], "unknown environment 'go_fish'; there is: game_tree"),
        (["game_tree", "--colour", "red"], "--colour"),
        (["game_tree", "--depth", "0"], "depth must be between 1 and 16, not 0"),
        (["game_tree", "--depth", "40"], "depth must be between 1 and 16, not 40"),
        (["game_tree", "--depth", "deep"], "deep"),
        (["game_tree", "--nudge", "-0.1"], "nudge must be >= 0, not -0.1"),
        (["game_tree", "--nudge", "nan"], "nudge must be >= 0, not nan"),
        (["game_tree", "--outcome-probs", "0.9", "0.2", "0.1", "0.9"], "must sum to 1"),
        (["game_tree", "--outcome-probs", "nan", "0.1", "0.1", "0.9"], "must be finite"),
        (["game_tree", "--preset", "figure99"], "no preset 'figure99'"),
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
        (["game_tree", "--max-gradient-norm", "0"], "max_gradient_norm must be > 0"),
        (["game_tree", "--priority-exponent", "-1"], "priority_exponent must be between 0 and 1"),
        (["game_tree", "--priority-floor", "0"], "priority_floor must be > 0"),
        (["game_tree", "--grid-size", "3"], "--grid-size"),
        (["game_tree", "--validate"], "validation needs several agents"),
        (["coin_game", "--depth", "3"], "--depth"),
        (["coin_game", "--grid-size", "1"], "grid_size must be between 2 and 15, not 1"),
        (["coin_game", "--num-agents", "9", "--grid-size", "3"], "num_agents must be between"),
        (["coin_game", "--shared-coin", "nobody"], "nobody"),
    ],
)
def test_bad_input_gets_one_clear_message_and_code_2(
    arguments, says, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = " ".join(fails(capsys, *arguments).replace("│", " ").split())
    assert says in shown
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_as_it_is(capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years of work")
    shown = fails(capsys, "game_tree", "--out", str(tmp_path))
    assert "is not empty" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written_to_is_known_before_training(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in fails(capsys, "game_tree", "--out", str(tmp_path / "file" / "run"))
    # Nobody can make a folder here, whoever runs the tests.
    assert "/proc" in fails(capsys, "game_tree", "--out", "/proc/jaxparl")


@given(st.text(max_size=8))
def test_a_range_is_read_or_refused(text):
    try:
        found = selection._range("seeds", text)
    except ValueError as error:
        assert "--seeds must be A:B" in str(error)
    else:
        assert len(found) > 0
        assert found.start >= 0


def test_a_run_leaves_a_whole_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    cli.main(["train", "game_tree", *TINY, "--out", str(folder)])
    shown = capsys.readouterr().out
    assert "iterations/s" in shown
    assert "left" in shown
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".lock", "config.json", "metrics.csv", "metrics.npz", "summary.json", "figure.png",
        "checkpoints",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["depth"] == 3
    assert config["config"]["rates"]["nudge"] == Config().rates.nudge
    assert {"jax", "jaxlib", "python"} <= set(config["versions"])
    arrays = np.load(folder / "metrics.npz")
    assert arrays["utility_ratio"].shape == (4, 2)
    summary = json.loads((folder / "summary.json").read_text())
    ratio = summary["utility_ratio"]
    np.testing.assert_allclose(ratio["per_run"], arrays["utility_ratio"][:, -1])
    np.testing.assert_allclose(ratio["mean"], np.mean(ratio["per_run"]))
    assert ratio["ci_low"] <= ratio["mean"] <= ratio["ci_high"]
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 2
    csv_last = [float(row["utility_ratio"]) for row in rows if row["iteration"] == "400"]
    np.testing.assert_allclose(csv_last, ratio["per_run"], rtol=1e-6)
    weights = load_weights(folder / "checkpoints" / "final")
    assert weights.agent["params"]["Embed_0"]["embedding"].shape == (4, 7, 16)


def test_a_run_that_diverges_is_stopped_and_named(tmp_path, capsys, monkeypatch):
    learn = training.learn

    def diverge(*arguments):
        state, losses = learn(*arguments)
        is_late = arguments[-1] == 1
        loss = jnp.where(is_late, jnp.nan, losses.principal)
        return state, dataclasses.replace(losses, principal=loss)

    monkeypatch.setattr(training, "learn", diverge)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "game_tree", *TINY, "--seeds", "3:5", "--out", str(tmp_path / "run")])
    assert stop.value.code == 1
    says = capsys.readouterr().err
    assert "game 0 seed 3 has diverged: principal_loss is nan at iteration 400" in says
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4 * 2, "what was found so far is kept"


@pytest.mark.parametrize("num_agents", [2, 3])
def test_a_game_of_several_agents_runs_from_the_same_command(num_agents, tmp_path, capsys):
    folder = tmp_path / "run"
    cli.main([
        "train", "coin_game", "--grid-size", "2", "--max-steps-in-episode", "4",
        *("--num-agents", str(num_agents), "--seeds", "0:2", *TINY[2:], "--out", str(folder)),
        "--validate" if num_agents == 2 else "--no-validate",
    ])  # fmt: skip
    shown = capsys.readouterr().out
    if num_agents == 2:
        validated = json.loads((folder / "validation.json").read_text())
        followed = validated["principal"]["follow_share"]
        assert len(followed["per_run"]) == 2
        assert 0 < followed["mean"] < 1
        assert validated["cooperative"]["payment_share"]["mean"] == pytest.approx(1.0)
        assert validated["selfish"]["payment"]["mean"] == 0
        with (folder / "validation.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == 6 * 2 * 2
        assert rows[0]["scheme"] == "principal"
        assert (folder / "validation.png").exists()
        assert (folder / "validation.gif").exists()
        saved_principals_are_validated_again(folder, tmp_path, capsys)
    assert "welfare" in shown
    assert ("to gain" in shown) == (num_agents == 2)  # three agents have no exact side
    welfare = json.loads((folder / "summary.json").read_text())["welfare"]
    assert len(welfare["per_run"]) == 2
    assert (folder / "figure.png").exists()
    assert (folder / "episode.gif").exists()


def saved_principals_are_validated_again(folder: Path, tmp_path: Path, capsys) -> None:
    """To the bit as in the run that trained them; and never in another game."""
    game = ("coin_game", "--max-steps-in-episode", "4", *TINY[2:], "--principal", str(folder))
    again = tmp_path / "again"
    cli.main(["train", *game, "--grid-size", "2", "--out", str(again)])
    before, after = (np.load(path / "validation.npz") for path in (folder, again))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert not (again / "metrics.npz").exists()
    for change, says in (
        (("--grid-size", "3"), "are of another game: settings.grid_size was 2, not 3"),
        (
            ("--grid-size", "2", "--view", "board"),
            'are of another game: settings.view was "centred", not',
        ),
        (("--grid-size", "2", "--hidden-sizes", "8"), "not of this game, or has other networks"),
    ):
        assert says in " ".join(fails(capsys, *game, *change).split())


def test_help_teaches_without_training(capsys):
    cli.main([])
    overview = capsys.readouterr().out
    assert "game_tree" in overview
    assert "figure3" in overview
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "game_tree", "--help"])
    assert stop.value.code == 0
    assert "--nudge" in capsys.readouterr().out


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
    assert done.stderr == "error: unknown environment 'go_fish'; there is: game_tree, coin_game\n"
