"""Which part of a sweep a task of a Slurm array trains, also when it is submitted again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import SMALL_TREE, fails, train

from jaxparl import cli
from jaxparl.cli import commands
from jaxparl.experiment.run_folder import read_config, shard_name
from jaxparl.experiment.slurm import Array, Part, part_of_task


def submit(monkeypatch: pytest.MonkeyPatch, tasks: list[int], step: int, task: int) -> None:
    """Makes this process one of the `tasks` of an array."""
    about = {"ID": task, "MIN": tasks[0], "MAX": tasks[-1], "STEP": step, "COUNT": len(tasks)}
    for name, value in about.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))


def begin(out: Path, index: int, count: int, array: Array | None = None) -> None:
    """Leaves what a part leaves that has begun."""
    folder = out / shard_name(index, count)
    folder.mkdir(parents=True)
    content = {"slurm_array": array._asdict()} if array else {}
    (folder / "config.json").write_text(json.dumps(content))


def test_outside_of_an_array_there_is_no_part(tmp_path):
    assert part_of_task(tmp_path) is None


@pytest.mark.parametrize(
    ("tasks", "task", "part"),
    [
        (list(range(8)), 3, Part(3, 8, Array(0, 1))),
        ([1, 2, 3], 3, Part(2, 3, Array(1, 1))),
        ([10, 12, 14, 16], 14, Part(2, 4, Array(10, 2))),
        ([0, 5], 5, Part(1, 2, Array(0, 5))),
    ],
)
def test_the_tasks_of_an_array_share_a_sweep(tasks, task, part, tmp_path, monkeypatch):
    submit(monkeypatch, tasks, tasks[1] - tasks[0], task)
    assert part_of_task(tmp_path) == part
    # And so they do once others of them have begun, whether or not these have said much already.
    begin(tmp_path, 0, part.count, part.array)
    (tmp_path / shard_name(1, part.count)).mkdir()
    assert part_of_task(tmp_path) == part


@pytest.mark.parametrize(
    ("tasks", "step", "says"),
    [
        ([1, 3, 7], 1, "not numbered evenly from 1 to 7, as those of --array=0-2 are"),
        ([1, 3, 5], 1, "not numbered evenly from 1 to 5"),
        ([3], 1, "an array of one task does not say which part of a sweep it is"),
    ],
)
def test_an_array_that_does_not_say_which_part_it_is_is_refused(
    tasks, step, says, tmp_path, monkeypatch
):
    for task in tasks:
        submit(monkeypatch, tasks, step, task)
        with pytest.raises(ValueError, match=says) as refusal:
            part_of_task(tmp_path)
        assert "--shard I/N" in str(refusal.value)
        assert "--shard none to train all runs in this task" in str(refusal.value)


@pytest.mark.parametrize("tasks", [[3], [3, 4], [1, 3, 6], list(range(8))])
def test_tasks_that_are_submitted_again_go_on_with_their_parts(tasks, tmp_path, monkeypatch):
    array = Array(0, 1)
    for index in (0, 6):
        begin(tmp_path, index, 8, array)
    for task in tasks:
        submit(monkeypatch, tasks, 1, task)
        assert part_of_task(tmp_path) == Part(task, 8, array)


def test_a_step_and_a_first_task_are_remembered(tmp_path, monkeypatch):
    begin(tmp_path, 1, 4, Array(10, 2))
    submit(monkeypatch, [16], 1, 16)
    assert part_of_task(tmp_path) == Part(3, 4, Array(10, 2))


@pytest.mark.parametrize(
    ("begun", "tasks", "says"),
    [
        ([(0, 8, Array(0, 1))], [9], "begun by the tasks 0 to 7 of a Slurm array, and this is ta"),
        ([(0, 4, Array(10, 2))], [13], "begun by the tasks 10 to 16 by 2 of a Slurm array, and"),
        ([(0, 8, None)], [3], "holds parts of 8, and this array has 1; give --shard I/N --resume"),
        ([(0, 8, None)], [0, 1, 2], "holds parts of 8, and this array has 3"),
        ([(0, 8, None), (1, 4, None)], [0, 1, 2, 3], "holds parts of 4 and of 8"),
        ([(0, 8, Array(0, 1)), (1, 8, Array(1, 1))], [2], "the tasks 0 to 7 and 1 to 8 of a Slu"),
    ],
)
def test_a_task_never_has_another_count_than_its_siblings(
    begun, tasks, says, tmp_path, monkeypatch
):
    for index, count, array in begun:
        begin(tmp_path, index, count, array)
    submit(monkeypatch, tasks, 1, tasks[0])
    with pytest.raises(ValueError, match=re.escape(says)):
        part_of_task(tmp_path)


def test_what_is_no_array_of_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_MIN is '', so this is no task"):
        part_of_task(tmp_path)
    with pytest.raises(ValueError, match="needs --out"):
        part_of_task(None)


SWEEP = (*SMALL_TREE, "--seeds", "0:4")


def test_the_plan_of_a_part_writes_nothing_and_needs_no_folder(capsys, monkeypatch):
    planned = []
    monkeypatch.setattr(commands, "plan", lambda config, env, runs, *rest: planned.extend(runs))
    monkeypatch.setattr(commands.console, "plan", lambda needs: None)
    submit(monkeypatch, [0, 1], 1, 1)
    cli.main(["plan", *SWEEP])
    assert "part 1 of 2, from the Slurm array" in capsys.readouterr().out
    assert [run.seed for run in planned] == [2, 3]


def test_the_command_line_says_which_part_it_trains_and_can_be_told_another(
    tmp_path, capsys, monkeypatch
):
    submit(monkeypatch, [0, 1], 1, 1)
    assert "needs --out" in fails(capsys, "train", *SWEEP)
    assert train(tmp_path, *SWEEP) == 0
    assert "part 1 of 2, from the Slurm array; --shard none" in capsys.readouterr().out
    assert [run["seed"] for run in read_config(tmp_path / "shard-1-of-2")["runs"]] == [2, 3]
    # One seed a task, in a folder that the others share.
    assert train(tmp_path, *SMALL_TREE, "--seeds", "0:1") == 2
    assert "only 1 run to share among them" in capsys.readouterr().err
    # The first part, with other settings than the second one.
    submit(monkeypatch, [0], 1, 0)
    assert train(tmp_path, *SWEEP, "--nudge", "0.5") == 2
    assert f"{tmp_path / 'shard-1-of-2'} is a part of another sweep" in capsys.readouterr().err
    # What is given wins.
    assert train(tmp_path, *SWEEP, "--shard", "0/3") == 2
    assert "this is part 0 of 3" in capsys.readouterr().err
    assert train(tmp_path / "whole", *SMALL_TREE, "--shard", "none") == 0
    assert "Slurm" not in capsys.readouterr().out
    assert read_config(tmp_path / "whole")["shard"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard-1-of-2", "whole"]
