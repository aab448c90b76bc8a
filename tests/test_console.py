"""What is printed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jaxparl.config import Config
from jaxparl.experiment import console
from jaxparl.experiment.results import StageResult, stage_timing
from jaxparl.experiment.statistics import group_runs
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
    runs = grid([0, 1], [0, 1])
    result = StageResult(
        runs=runs,
        iterations=np.array([10]),
        curves={
            "welfare": np.array([[1.0], [np.nan], [2.0], [4.0]]),
            "payment_share": np.array([[0.25], [0.75], [np.nan], [np.nan]]),
            "agent_loss": np.ones((4, 1)),
        },
        timing=stage_timing(1.0, 2.0, 4.0, iterations=40.0),
        fingerprints=[],
    )
    groups = group_runs(runs, np.array([False, True, False, False]), "tree")
    console.closing_table("What was learned", groups, result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "What was learned"
    cells = {line.split()[0]: line.split() for line in lines if line.strip()}
    rows = [line.split() for line in lines if line.strip().startswith("tree")]
    assert rows == [
        ["tree", "0", "1", "of", "2", "seeds", "1.000", "25.0%"],
        ["tree", "1", "2", "seeds", "3.000"],
    ]
    assert "welfare:" in cells
    assert "agent_loss" not in "".join(lines)
    assert lines[-1].startswith("10 iterations/s in all: 4 s, after 1.0 s of compiling")


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        (1, ""),
        (2, "mean over seeds; from, to: the least and the greatest of them"),
        (5, "interquartile mean over seeds; from, to: its 95% interval by bootstrap"),
    ],
)
def test_the_closing_table_says_how_seeds_are_averaged(seeds, says, capsys):
    runs = grid([0], range(seeds))
    curves = {
        "utility_ratio": np.arange(1.0, seeds + 1)[:, None],
        "agent_loss": np.ones((seeds, 1)),
    }
    result = StageResult(runs, np.array([10]), curves, stage_timing(1, 2, 4, iterations=40.0), [])
    console.closing_table("Learned", group_runs(runs, np.zeros(seeds, bool)), result)
    shown = capsys.readouterr().out
    assert ("seeds;" in shown) == bool(says)
    assert says in shown


def test_estimates_are_marked_and_have_an_interval_beside_them(capsys):
    runs = grid([0], [0, 1])
    curves = {
        "welfare": np.array([[1.0], [2.0]]),
        "welfare_se": np.array([[0.3], [0.4]]),
        "payment_share": np.array([[0.25], [np.nan]]),
        "payment_share_se": np.array([[0.01], [np.nan]]),
        "episodes": np.full((2, 1), 80),
        "agent_loss": np.ones((2, 1)),
    }
    timing = stage_timing(1.0, 2.0, 4.0, iterations=40.0)
    result = StageResult(runs, np.array([10]), curves, timing, [])
    groups = group_runs(runs, np.zeros(2, bool), "stock")
    console.closing_table("Learned", groups, result)
    shown = capsys.readouterr().out
    (row,) = [line.split() for line in shown.splitlines() if line.strip().startswith("stock")]
    # Of the mean of two runs: 1.96 * 0.5 / 2. The other share is undefined, and does not count.
    assert row[4:] == ["≈1.500", "0.490", "≈25.0%", "2.0%"]
    assert "≈: estimated from 80 episodes of each run" in shown
    assert "±: the half-width of the 95% interval" in shown


def test_estimates_are_marked_in_the_progress_line(capsys):
    metrics = {"welfare": np.array([2.0]), "welfare_se": np.array([0.1])}
    with console.ProgressLine(Config(iterations=400), grid([0], [0]), "training") as line:
        line.update(Progress(1, 2.0, None, Run(None, None)), metrics)
    assert "welfare ≈2.000" in capsys.readouterr().out


def test_a_table_that_is_wider_than_the_terminal_goes_on_in_another(monkeypatch):
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=60, color_system=None)
    monkeypatch.setattr(console, "_CONSOLE", terminal)
    runs = grid([0], [0])
    names = ("principal_utility", "welfare", "payment", "payment_share", "followed_share")
    curves = {name: np.array([[12.3456]]) for name in names}
    curves |= {f"{name}_se": np.array([[0.5]]) for name in names}
    curves |= {"episodes": np.full((1, 1), 80), "agent_loss": np.ones((1, 1))}
    timing = stage_timing(1.0, 2.0, 4.0, iterations=40.0)
    result = StageResult(runs, np.array([10]), curves, timing, [])
    console.closing_table("Learned", group_runs(runs, np.zeros(1, bool), "stock"), result)
    lines = written.getvalue().splitlines()
    rows = [line for line in lines if line.strip().startswith("stock")]
    assert len(rows) == 2
    assert "…" not in written.getvalue()
    assert max(map(len, rows)) <= 60
    # An interval stays beside its estimate.
    assert [row.count("≈") for row in rows] == [
        row.count(" 0.980") + row.count("98.0%") for row in rows
    ]


def test_the_progress_line_never_averages_over_settings(capsys):
    runs = grid([0], [0, 1], {"nudge": [0.0, 0.5]})
    config = Config(iterations=400)
    line = console.ProgressLine(config, runs, "training")
    metrics = {"payment_share": np.array([0.493, 0.495, 9.425, 9.427])}
    with line:
        line.update(Progress(1, 1.0, None, Run(None, None)), metrics)
    assert "49.4% to 942.6% paid" in capsys.readouterr().out


def test_a_table_is_as_wide_as_it_is_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "tree 0, nudge 0.02, learning_rate 0.001, principal_learning_rate_final 2e-05 [/]"
    curves = {"principal_utility": np.array([[1.0]]), "utility_ratio": np.array([[0.5]])}
    runs = grid([0], [0])
    result = StageResult(
        runs=runs,
        iterations=np.array([10]),
        curves=curves,
        timing=stage_timing(1.0, 2.0, 4.0, iterations=40.0),
        fingerprints=[],
    )
    (group,) = group_runs(runs, np.zeros(1, bool))
    console.closing_table("What was learned", [group._replace(name=name)], result)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "tree 0" in line]
    assert row.split() == [*name.split(), "1", "seed", "1.000", "50.0%"]


def test_a_progress_line_shows_what_it_is_given_as_it_is(capsys):
    config = Config(iterations=400)
    metrics = {"welfare": np.array([2.0])}
    with console.ProgressLine(config, grid([0], [0]), "[bold]training") as line:
        line.update(Progress(1, 2.0, None, Run(None, None)), metrics)
    assert capsys.readouterr().out.startswith("[bold]training 100%  200 iterations/s  0:00 left")
