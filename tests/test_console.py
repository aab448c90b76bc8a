"""What is printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxparl.config import Config
from jaxparl.experiment import console
from jaxparl.experiment.results import StageResult, stage_timing
from jaxparl.training.runs import grid
from jaxparl.training.sweep import Progress, Run


def test_nothing_that_a_user_gives_is_read_as_markup(capsys):
    path = Path("out/[/tmp]run [bold]:rocket:")
    console.finished(path)
    console.finished_already(path)
    console.stopped(300, path)
    console.warn(f"something about {path}")
    console.announce("[red]game", "[/]", grid([0], [0]), Config(), path)
    shown = capsys.readouterr()
    assert shown.out.count(str(path)) == 4
    assert str(path) in shown.err
    assert "[red]game ([/]): 1 game x 1 seed, 20,000 iterations each" in shown.out


def test_what_is_announced_counts_games_settings_and_seeds(capsys):
    runs = grid([0, 1], [0, 1, 2], {"nudge": [0.0, 0.1]})
    console.announce("game_tree", "quick", runs, Config(), Path("runs/x"))
    assert "2 games x 2 settings x 3 seeds" in capsys.readouterr().out
    console.announce("game_tree", "quick", runs[:-1], Config(), Path("runs/x"))
    assert ": 11 runs," in capsys.readouterr().out


def test_the_closing_table_has_a_row_per_group_and_leaves_out_what_is_no_number(capsys):
    result = StageResult(
        runs=grid([0, 1], [0, 1]),
        iterations=np.array([10]),
        curves={
            "welfare": np.array([[1.0], [np.nan], [2.0], [4.0]]),
            "payment_share": np.array([[0.25], [0.75], [np.nan], [np.nan]]),
            "agent_loss": np.ones((4, 1)),
        },
        timing=stage_timing(1.0, 2.0, 4.0, iterations=40.0),
        fingerprints=[],
    )
    groups = ["tree 0", "tree 0", "tree 1", "tree 1"]
    console.closing_table("What was learned", groups, result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "What was learned"
    cells = {line.split()[0]: line.split() for line in lines if line.strip()}
    rows = [line.split() for line in lines if line.strip().startswith(("tree", "all"))]
    assert rows == [
        ["tree", "0", "1.000", "50.0%"],
        ["tree", "1", "3.000"],
        ["all", "2.333", "50.0%"],
    ]
    assert "welfare:" in cells
    assert "agent_loss" not in "".join(lines)
    assert lines[-1].startswith("10 iterations/s in all: 4 s, after 1.0 s of compiling")
    console.closing_table("Schemes", groups, result, has_total=False)
    assert "\n all" not in capsys.readouterr().out


def test_a_table_is_as_wide_as_it_is_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "tree 0, nudge 0.02, learning_rate 0.001, principal_learning_rate_final 2e-05 [/]"
    curves = {"principal_utility": np.array([[1.0]]), "utility_ratio": np.array([[0.5]])}
    result = StageResult(
        runs=grid([0], [0]),
        iterations=np.array([10]),
        curves=curves,
        timing=stage_timing(1.0, 2.0, 4.0, iterations=40.0),
        fingerprints=[],
    )
    console.closing_table("What was learned", [name], result)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "tree 0" in line]
    assert row.split() == [*name.split(), "1.000", "50.0%", "50.0%"]


def test_a_progress_line_shows_what_it_is_given_as_it_is(capsys):
    config = Config(iterations=400)
    runs = {"welfare": np.array([2.0])}
    with console.ProgressLine(config, 1, "[bold]training") as line:
        line.update(Progress(1, 2.0, None, Run(None, None)), runs)
    assert capsys.readouterr().out.startswith("[bold]training 100%  200 iterations/s  0:00 left")
