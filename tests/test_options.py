"""Options of the command line: which runs they mean, and which part of them is this process's."""

from __future__ import annotations

import pytest

from jaxparl.config import HyperParams
from jaxparl.experiment.options import RunOptions, all_runs, own_part, own_runs
from jaxparl.experiment.slurm import Array, Part


def test_the_part_is_that_which_is_asked_for():
    assert own_part(RunOptions()) is None
    assert own_part(RunOptions(shard="0/3")) == Part(0, 3)
    assert own_part(RunOptions(shard="none")) is None


@pytest.mark.parametrize("text", ["", "3", "2/2", "-1/2", "a/b", "1/0"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="must be I/N with 0 <= I < N, or none"):
        own_part(RunOptions(shard=text))


def test_more_parts_than_runs_are_refused():
    runs = all_runs(RunOptions(games="0:1", seeds="0:2"), HyperParams())
    assert own_runs(runs, Part(1, 2)) == runs[1:]
    with pytest.raises(ValueError, match="--shard 0/3: there are only 2 runs"):
        own_runs(runs, Part(0, 3))
    # One seed a task: each would train a part of its one run.
    with pytest.raises(ValueError, match=r"3 tasks, and only 1 run to share .* give --shard none"):
        own_runs(runs[:1], Part(0, 3, Array(0, 1)))


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("nudge", "must be NAME=VALUE,VALUE"),
        ("colour=1,2", "must be NAME=VALUE,VALUE"),
        ("nudge=", "are not numbers"),
        ("nudge=a,b", "are not numbers"),
        ("nudge=0.1,0.10", "twice"),
        ("nudge=-1", "nudge must be >= 0"),
        ("nudge=nan", "nudge must be >= 0"),
    ],
)
def test_what_is_no_sweep_is_refused(sweep, says):
    with pytest.raises(ValueError, match=says):
        all_runs(RunOptions(games="0:1", seeds="0:2", sweep=(sweep,)), HyperParams())
